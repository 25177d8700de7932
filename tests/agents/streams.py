"""Streams to try the laws on: what befalls a few emails, in records, some of which come again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from schemas.events import Bounced, Campaign, Delivered, Delivery, Hit, Lead, Link, Pause, Sent, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id
from schemas.topics import (
    CAMPAIGNS,
    DELIVERIES,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    PAUSES,
    Topic,
    delivery_partition,
    text_partition,
)
from tests.agents.paper_kafka import Life, Written

# Yesterday: hits are kept for 90 days only.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
PARTITIONS = 2
_NAMES = uuid.UUID("6f1c7b4e-7d5c-4a58-9d8c-2a6a1d4f9c11")
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0",
    "curl/8.11.0",
)
_LINKS = ("a" * 64, "b" * 64, "c" * 64)
_TRAP = "trap"
# Around every boundary of the rules: delivery, the 2 s of scanners and of bursts, 5 s of pairs, the settle delay, 10
# and 15 minutes.
_AFTER_DELIVERY = (-0.5, 0.0, 0.9, 2.1, 3.9, 4.4, 4.6, 5.5, 60.0, 61.0, 64.6, 66.0, 590.0, 604.0, 1200.0, 1201.5)
# Seconds from a hit to its record: at once, after a pause of the broker, out of the spool.
_LATE = (0.004, 0.004, 0.3, 7.0)
# Seconds until a record comes again. The judge remembers clicks for half a minute.
_AGAIN = (0.0, 0.1, 3.0, 12.0, 24.0)
Drawn = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Example:
    """A stream in the order of writing, and the numbers of the records that are written again, each with its pause."""

    stream: tuple[Written, ...]
    repeats: tuple[tuple[int, float], ...] = ()

    def repeated(self) -> list[Written]:
        """The stream with its duplicates. State comes again only before its key's next: Kafka keeps their order.

        A hit comes again only before the record of a delivery that is late itself: the second time nobody could say
        that it was not known the first time.
        """
        again = []
        for number, pause in self.repeats:
            one = self.stream[number % len(self.stream)]
            until = float("inf")
            if one.topic.compacted:
                until = min(
                    (o.at for o in self.stream if (o.topic, o.key) == (one.topic, one.key) and o.at > one.at),
                    default=until,
                )
            if one.topic is HITS:
                late = [o.at for o in self.stream if (o.topic, o.key) == (DELIVERIES, one.key) and o.at > one.at + 4.5]
                until = min((at - 4.5 for at in late), default=until)
            again.append(replace(one, at=one.at + min(pause, (until - one.at) / 2)))
        return sorted([*self.stream, *again], key=lambda one: one.at)


def examples(settings: Settings, *, punctual: bool = False) -> st.SearchStrategy[Example]:
    """Streams of up to three emails. `punctual`: every record is of one hit or event, written as it happened."""

    @st.composite
    def example(draw: Drawn) -> Example:
        emails = [_email(draw, settings, number, punctual) for number in range(draw(st.integers(1, 3)))]
        stream = [one for email in emails for one in email] + _state(draw)
        assume(stream)  # an email that nothing became known of yet, and no state
        stream.sort(key=lambda one: (one.at, one.topic.name, one.value))
        places = st.tuples(st.integers(0, len(stream) - 1), st.sampled_from(_AGAIN))
        return Example(tuple(stream), tuple(draw(st.lists(places, max_size=6))))

    return example()


def lives() -> st.SearchStrategy[list[Life]]:
    """Up to three lives that end at some effect, then one without end; each reads at some pace, in some groups."""
    how: dict[str, st.SearchStrategy[Any]] = {
        "batch": st.sampled_from([1, 2, 3, 500]),
        "latency": st.sampled_from([0.0, 0.2, 0.4]),
        "poll": st.sampled_from([0.0, 5.0, 90.0, 3600.0]),
    }
    short = st.builds(Life, effects=st.integers(1, 25), rest=st.sampled_from([0.0, 1.0, 8.0, 40.0, 1500.0]), **how)
    return st.builds(lambda some, last: [*some, last], st.lists(short, max_size=3), st.builds(Life, **how))


def _email(draw: Drawn, settings: Settings, number: int, punctual: bool) -> list[Written]:
    """All that is written about one email."""
    campaign, step = draw(st.sampled_from(["spring", "autumn"])), draw(st.integers(1, 2))
    lead, sent_at = f"lead-{number}", START + timedelta(seconds=draw(st.sampled_from([0, 1, 300])))
    id_ = str(delivery_id(campaign, step, lead))
    told: dict[str, Any] = {
        "delivery_id": id_, "campaign": campaign, "step": step, "lead": lead, "variant": draw(st.sampled_from("AB")),
    }  # fmt: skip

    def written(topic: Topic, at: datetime, late: float, value: bytes, key: str = id_) -> Written:
        return Written(at.timestamp() + late, topic, settings.partition_of(topic, key), key.encode(), value)

    def event_id(kind: str) -> str:
        return str(uuid.uuid5(_NAMES, f"{id_} {kind}"))

    found: list[Written] = []
    fate = draw(st.sampled_from(["delivered", "delivered", "delivered", "bounced", "unknown"]))
    late = 0.004 if punctual else draw(st.sampled_from(_LATE))
    if fate != "unknown":
        sent = Sent(
            id=event_id("sent"), at=sent_at, sender="a@example.com", recipient_domain="example.org", message_id="", **told
        )  # fmt: skip
        found.append(written(EVENTS, sent_at, late, lines([sent])))
    if fate == "delivered":
        delivered = Delivered(id=event_id("delivered"), at=sent_at, sender="a@example.com", request_id=id_, **told)
        found.append(written(EVENTS, sent_at, late, lines([delivered])))
        delivery = Delivery(delivery_id=id_, request_id=id_, at=sent_at)
        found.append(written(DELIVERIES, sent_at, late, msgspec.json.encode(delivery)))
    if fate == "bounced":
        bounced = Bounced(
            id=event_id("bounce"), at=sent_at, sender="a@example.com", category="", status="5.1.1", diagnostic="",
            bounce_class=draw(st.sampled_from(["hard", "soft", "block"])), **told,
        )  # fmt: skip
        found.append(written(EVENTS, sent_at, late, lines([bounced])))
    if draw(st.booleans()):
        at = sent_at + timedelta(seconds=draw(st.sampled_from([60, 700])))
        unsubscribed = Unsubscribed(id=event_id("unsubscribe"), at=at, via="page", **told)
        state = Lead(lead=lead, fact="unsubscribed", at=at)
        found += [
            written(EVENTS, at, 0.004, lines([unsubscribed])),
            written(LEADS, at, 0.004, msgspec.json.encode(state), state.key),
        ]
    return found + _hits(draw, settings, told, sent_at, punctual)


def _hits(draw: Drawn, settings: Settings, told: dict[str, Any], sent_at: datetime, punctual: bool) -> list[Written]:
    """The hits on one email, in records of one or more."""
    hits: list[tuple[Hit, float]] = []
    for number in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["open", "click", "click"]))
        link = draw(st.sampled_from([*_LINKS, *_LINKS, _TRAP])) if kind == "click" else ""
        hit = Hit(
            id=str(uuid.uuid5(_NAMES, f"{told['delivery_id']} {number}")),
            kind=kind,
            at=sent_at + timedelta(seconds=draw(st.sampled_from(_AFTER_DELIVERY)), milliseconds=number),
            minted_at=sent_at - timedelta(seconds=draw(st.sampled_from([1, 3000]))),
            link_id=settings.keyring.honeypots(told["campaign"])[0] if link == _TRAP else link,
            user_agent=draw(st.sampled_from(AGENTS)),
            method=draw(st.sampled_from(["GET", "GET", "GET", "HEAD"])),
            ip=draw(st.sampled_from(["192.0.2.7", "192.0.2.7", "192.0.2.8"])),
            **told,
        )  # fmt: skip
        hits.append((hit, 0.004 if punctual else draw(st.sampled_from(_LATE))))
    hits.sort(key=lambda one: one[0].at.timestamp() + one[1])
    records: list[list[tuple[Hit, float]]] = []
    for one in hits:
        near = records and abs((one[0].at - records[-1][-1][0].at).total_seconds()) < 2
        if near and not punctual and draw(st.booleans()):
            records[-1].append(one)
        else:
            records.append([one])
    id_ = told["delivery_id"]
    return [
        Written(
            max(hit.at.timestamp() + late for hit, late in record), HITS, delivery_partition(id_, PARTITIONS),
            id_.encode(), lines(hit for hit, _ in record),
        )
        for record in records
    ]  # fmt: skip


def _state(draw: Drawn) -> list[Written]:
    """A campaign that is paused and goes on, and links."""
    states = draw(st.lists(st.booleans(), max_size=3))
    found = []
    for number, paused in enumerate(states):
        at = START + timedelta(seconds=30 * number)
        pause = Pause(campaign="spring", paused=paused, at=at)
        found.append(Written(at.timestamp(), PAUSES, 0, b"spring", msgspec.json.encode(pause)))
        campaign = Campaign(id="spring", name=f"Spring {number}", created_at=START)
        found.append(Written(at.timestamp(), CAMPAIGNS, 0, b"spring", msgspec.json.encode(campaign)))
    for link_id in draw(st.sets(st.sampled_from(_LINKS))):
        link = Link(link_id=link_id, campaign="spring", url=f"https://example.com/{link_id[0]}")
        partition = text_partition(link_id, PARTITIONS)
        found.append(Written(START.timestamp(), LINKS, partition, link_id.encode(), msgspec.json.encode(link)))
    return found
