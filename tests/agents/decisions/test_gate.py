"""Who gets mail, and who does not."""

from __future__ import annotations

from agents.decisions.gate import Already, Go, Replay, Skip, gate
from schemas.events import Campaign, Lead
from tests.agents.mails import NOW, a_send

CAMPAIGN = Campaign(id="spring", name="Spring", created_at=NOW)
PAUSED = Campaign(id="spring", name="Spring", created_at=NOW, paused=True)
GONE = Lead(lead="lead-1", unsubscribed_at=NOW)


def test_a_lead_nobody_knows_anything_of_gets_mail() -> None:
    assert gate(a_send(), CAMPAIGN, None, None) == Go()


def test_a_lead_that_came_back_gets_mail() -> None:
    assert gate(a_send(), CAMPAIGN, Lead(lead="lead-1"), None) == Go()


def test_no_campaign_no_mail() -> None:
    assert gate(a_send(), None, None, None) == Skip("unknown-campaign")


def test_a_paused_campaign_sends_nothing() -> None:
    assert gate(a_send(), PAUSED, None, None) == Skip("paused")


def test_an_unsubscribed_lead_gets_nothing() -> None:
    assert gate(a_send(), CAMPAIGN, GONE, None) == Skip("unsubscribed")


def test_another_request_for_an_email_that_went_out_is_a_duplicate() -> None:
    assert gate(a_send(), CAMPAIGN, None, Already("another request")) == Skip("duplicate")
    assert gate(a_send(), CAMPAIGN, None, Already()) == Skip("duplicate")


def test_the_same_request_again_is_a_replay_whatever_happened_since() -> None:
    send = a_send()
    assert gate(send, CAMPAIGN, None, Already(send.request_id)) == Replay()
    assert gate(send, PAUSED, GONE, Already(send.request_id)) == Replay()
