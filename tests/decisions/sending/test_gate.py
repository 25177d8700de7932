"""Who gets mail, and who does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from decisions.sending.gate import OutcomeUnknown, PriorSend, Proceed, Replay, Skip, gate
from schemas.events import Campaign, Lead, Pause, Send
from schemas.state.attempts import Attempt
from tests.agents.mails import NOW, a_send

CAMPAIGN = Campaign(id="spring", name="Spring", created_at=NOW)
PAUSED = Pause(campaign="spring", paused=True, at=NOW)
GONE = Lead(lead="lead-1", fact="unsubscribed", at=NOW)


def ask(
    *facts: Lead,
    send: Send | None = None,
    campaign: Campaign | None = CAMPAIGN,
    pause: Pause | None = None,
    already: PriorSend | None = None,
    open_attempt: Attempt | None = None,
) -> Proceed | Skip | Replay | OutcomeUnknown:
    """The gate's answer when these facts are known."""
    known = {fact.key: fact for fact in facts}
    addresses, lead_ids = ("hash-1", "hash-of-the-old-key"), ("id-1", "id-of-the-old-key")
    return gate(send or a_send(), campaign, pause, known.get, addresses, already, open_attempt, lead_ids, now=NOW)


def test_a_lead_nobody_knows_anything_of_gets_mail() -> None:
    assert ask() == Proceed()


def test_a_lead_that_came_back_gets_mail() -> None:
    assert ask(structs.replace(GONE, holds=False)) == Proceed()


def test_a_pause_that_the_lead_asked_for_is_over_at_its_end() -> None:
    snooze = Lead(lead="lead-1", fact="snoozed", at=NOW - timedelta(days=30), until=NOW + timedelta(milliseconds=1))
    assert ask(snooze) == Skip("snoozed")
    assert ask(structs.replace(snooze, until=NOW)) == Proceed()
    assert ask(structs.replace(snooze, holds=False)) == Proceed()
    assert ask(structs.replace(snooze, lead="hash-1", of="address")) == Skip("snoozed")
    assert ask(snooze, GONE) == Skip("unsubscribed")


def test_who_left_every_list_of_an_email_does_not_get_it() -> None:
    seeds = Lead(lead="lead-1", fact="left", at=NOW, campaign="Seeds")
    bulbs = Lead(lead="hash-1", fact="left", at=NOW, of="address", campaign="Bulbs")
    both = a_send(lists=["Seeds", "Bulbs"])
    assert ask(seeds, bulbs, send=both) == Skip("left")
    assert ask(seeds, send=both) == Proceed()
    assert ask(seeds, structs.replace(bulbs, holds=False), send=both) == Proceed()
    assert ask(seeds, send=a_send(lists=["Seeds"])) == Skip("left")
    assert ask(seeds, bulbs, send=a_send()) == Proceed()  # of no list: none of them stops it


def test_no_campaign_no_mail() -> None:
    assert ask(campaign=None) == Skip("unknown-campaign")


def test_a_paused_campaign_sends_nothing_until_it_is_resumed() -> None:
    assert ask(pause=PAUSED) == Skip("paused")
    assert ask(pause=structs.replace(PAUSED, paused=False)) == Proceed()


@pytest.mark.parametrize("fact", ["unsubscribed", "invalid", "complained", "erased"])
def test_what_is_known_of_a_lead_holds_in_every_campaign(fact: Any) -> None:
    assert ask(Lead(lead="lead-1", fact=fact, at=NOW)) == Skip(fact)
    assert ask(Lead(lead="lead-2", fact=fact, at=NOW)) == Proceed()


@pytest.mark.parametrize("address", ["hash-1", "hash-of-the-old-key"])
def test_what_is_known_of_an_address_holds_for_every_lead_that_has_it(address: str) -> None:
    assert ask(Lead(lead=address, fact="invalid", at=NOW, of="address")) == Skip("invalid")
    assert ask(Lead(lead=address, fact="invalid", at=NOW)) == Proceed(), "a lead that is called like an address's hash"


@pytest.mark.parametrize("hashed", ["id-1", "id-of-the-old-key"])
def test_an_erased_lead_is_known_by_the_hash_of_its_id(hashed: str) -> None:
    assert ask(Lead(lead=hashed, fact="erased", at=NOW, of="hashed-lead")) == Skip("erased")
    assert ask(Lead(lead="id-2", fact="erased", at=NOW, of="hashed-lead")) == Proceed()


def test_a_lead_that_replied_gets_no_later_step_where_the_campaign_checks_replies() -> None:
    replied = Lead(lead="lead-1", fact="replied", at=NOW, campaign="spring")
    checking = structs.replace(CAMPAIGN, check_reply=True)
    assert ask(replied, campaign=checking) == Skip("replied")
    assert ask(replied) == Proceed()
    assert ask(structs.replace(replied, campaign="autumn"), campaign=checking) == Proceed()


def test_another_request_for_an_email_that_went_out_is_a_duplicate() -> None:
    assert ask(already=PriorSend("another request")) == Skip("duplicate")
    assert ask(already=PriorSend()) == Skip("duplicate")


def test_the_same_request_again_is_a_replay_whatever_happened_since() -> None:
    send = a_send()
    assert ask(send=send, already=PriorSend(send.request_id)) == Replay()
    assert ask(GONE, send=send, pause=PAUSED, already=PriorSend(send.request_id)) == Replay()


def test_what_nobody_knows_the_outcome_of_is_not_sent_again_and_not_skipped() -> None:
    send = a_send()
    attempt = Attempt(
        delivery_id=send.delivery_id,
        request_id=send.request_id,
        attempt=1,
        at=NOW,
        sender="a@example.com",
        message_id="m",
    )
    assert ask(send=send, open_attempt=attempt) == OutcomeUnknown(attempt)
    assert ask(send=send, open_attempt=attempt, pause=PAUSED) == OutcomeUnknown(attempt)
    assert ask(send=send, open_attempt=attempt, already=PriorSend(send.request_id)) == Replay(), "its outcome is known"
