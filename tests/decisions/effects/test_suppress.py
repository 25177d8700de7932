"""Which events make a lead or an address unmailable, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from decisions.effects.suppress import concerns_address, news, of_address, of_lead, snoozed, unsubscribe_of
from schemas.events import (
    AutoReplied,
    BounceClass,
    Bounced,
    Campaign,
    Complained,
    EmailEvent,
    Lead,
    LeftList,
    Replied,
    Resubscribed,
    Snoozed,
    Unsubscribed,
)
from schemas.tokens import delivery_id

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HASH = "ab" * 16
OF: dict[str, Any] = {
    "id": str(delivery_id("spring", 1, "an event")),
    "at": NOW,
    "delivery_id": str(delivery_id("spring", 1, "lead-1")),
    "campaign": "spring",
    "step": 1,
    "variant": "A",
    "lead": "lead-1",
}
ANSWER = {"sender": "news@example.net", "message_id": "<1@example.com>", "matched_by": "token"}


def a_bounce(bounce_class: BounceClass) -> Bounced:
    return Bounced(
        **OF, sender="news@example.net", bounce_class=bounce_class, category="c", status="5.1.1", diagnostic=""
    )


def test_a_hard_bounce_invalidates_the_lead_and_the_address() -> None:
    event = a_bounce("hard")
    assert of_lead(event) == Lead(lead="lead-1", fact="invalid", at=NOW, source="bounce")
    assert of_address(event, HASH) == Lead(lead=HASH, fact="invalid", at=NOW, of="address", source="bounce")


@pytest.mark.parametrize("bounce_class", ["soft", "block", "unknown"])
def test_no_other_bounce_invalidates_anyone(bounce_class: BounceClass) -> None:
    event = a_bounce(bounce_class)
    assert (of_lead(event), concerns_address(event), of_address(event, HASH)) == (None, False, None)


def test_a_complaint_holds_for_the_lead_and_the_address() -> None:
    event = Complained(**OF, **ANSWER)
    assert of_lead(event) == Lead(lead="lead-1", fact="complained", at=NOW, source="complaint")
    assert of_address(event, HASH) == Lead(lead=HASH, fact="complained", at=NOW, of="address", source="complaint")


def test_unsubscribing_holds_for_the_address_and_resubscribing_takes_that_back() -> None:
    gone, back = Unsubscribed(**OF, via="page"), Resubscribed(**OF)
    assert (of_lead(gone), of_lead(back)) == (None, None)  # ingest has written these
    held = Lead(lead=HASH, fact="unsubscribed", at=NOW, of="address", source="page")
    assert of_address(gone, HASH) == held
    assert of_address(back, HASH) == replace(held, holds=False)


@pytest.mark.parametrize("via", ["mail", "provider", "reply"])
def test_unsubscribing_elsewhere_holds_for_the_lead_too(via: Literal["mail", "provider", "reply"]) -> None:
    gone = Unsubscribed(**OF, via=via)
    assert of_lead(gone) == Lead(lead="lead-1", fact="unsubscribed", at=NOW, source=via)


def test_a_pause_holds_for_the_address_until_its_end_and_may_be_taken_back() -> None:
    until = NOW + timedelta(days=30)
    asked, ended = Snoozed(**OF, until=until), Snoozed(**OF, until=NOW)
    assert (of_lead(asked), concerns_address(asked)) == (None, True)  # ingest has written the lead's
    held = Lead(lead=HASH, fact="snoozed", at=NOW, of="address", source="page", until=until)
    assert of_address(asked, HASH) == held
    assert of_address(ended, HASH) == replace(held, holds=False, until=NOW)


def test_leaving_a_list_holds_for_the_address_and_that_list_alone() -> None:
    event = LeftList(**OF, list_name="Seeds")
    assert (of_lead(event), concerns_address(event)) == (None, True)
    held = Lead(lead=HASH, fact="left", at=NOW, of="address", campaign="Seeds", source="page")
    assert of_address(event, HASH) == held
    assert of_address(replace(event, back=True), HASH) == replace(held, holds=False)


def test_a_pause_that_is_asked_for_again_lasts_longer() -> None:
    first = snoozed(NOW, NOW + timedelta(days=30), "lead-1")
    again = snoozed(NOW + timedelta(days=1), NOW + timedelta(days=31), "lead-1")
    assert news([again], {first.key: first}.get) == [again]
    assert news([first, again, first], {}.get) == [again]
    assert news([first], {again.key: again}.get) == []


def test_a_reply_that_asks_to_stop_unsubscribes_where_its_campaign_says_so() -> None:
    reply = Replied(**OF, **ANSWER, asks_to_stop=True, stop_phrase="remove me", stop_line=1)
    acts = Campaign(id="spring", name="Spring", created_at=NOW, unsubscribe_on_reply=True)
    event = unsubscribe_of(reply, acts)
    assert event is not None
    assert (event.via, event.at, event.lead, event.delivery_id) == ("reply", NOW, "lead-1", OF["delivery_id"])
    assert unsubscribe_of(reply, acts) == event
    assert event.id != reply.id
    assert unsubscribe_of(reply, replace(acts, unsubscribe_on_reply=False)) is None
    assert unsubscribe_of(reply, None) is None
    assert unsubscribe_of(replace(reply, asks_to_stop=False), acts) is None
    assert unsubscribe_of(Complained(**OF, **ANSWER), acts) is None


def test_a_reply_stops_its_campaign_for_the_lead_alone() -> None:
    event = Replied(**OF, **ANSWER)
    assert of_lead(event) == Lead(lead="lead-1", fact="replied", at=NOW, campaign="spring", source="reply")
    assert not concerns_address(event)


def test_a_machines_answer_is_no_reply() -> None:
    event: EmailEvent = AutoReplied(**OF, **ANSWER)
    assert (of_lead(event), concerns_address(event)) == (None, False)


def test_what_is_known_is_not_said_again() -> None:
    known = Lead(lead="lead-1", fact="invalid", at=NOW)
    later = Lead(lead="lead-1", fact="invalid", at=NOW + timedelta(days=1))
    assert news([known, later], {known.key: known}.get) == []
    assert news([known, known], {}.get) == [known]


_MOMENTS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=12, unique_by=lambda moment: moment[0])


def _facts(moments: Sequence[tuple[int, bool]]) -> list[Lead]:
    return [
        Lead(lead=HASH, fact="unsubscribed", of="address", at=NOW + timedelta(seconds=at), holds=holds)
        for at, holds in moments
    ]


@given(moments=_MOMENTS, cuts=st.lists(st.integers(0, 12), max_size=3), replayed=st.integers(0, 12))
def test_however_events_are_grouped_and_replayed_the_last_word_holds(
    moments: list[tuple[int, bool]], cuts: list[int], replayed: int
) -> None:
    in_order = _facts(sorted(moments))
    known: dict[str, Lead] = {}
    again = [*in_order, *in_order[-replayed:]] if replayed else in_order
    edges = sorted({0, *(cut for cut in cuts if cut < len(again)), len(again)})
    for start, end in pairwise(edges):
        for fact in news(again[start:end], known.get):
            known[fact.key] = fact
    if in_order:
        assert known[in_order[0].key].holds == in_order[-1].holds
