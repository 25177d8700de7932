"""What the tests of the guard share: events of emails, and views of what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.events import AnyEvent, Bounced, Campaign, CampaignPaused, Event, Lead, Pause, Sent, lead_key, lines
from schemas.tokens import delivery_id, event_id
from schemas.topics import CAMPAIGNS, EVENTS, LEADS, PAUSES, Topic, delivery_partition
from stream.records import OutRecord, Record
from stream.state import StateTopic
from tests.support.stream import Stream
from tests.support.waiting import wait_until

PATIENCE = 30.0
SENDER = "news@example.net"


def now() -> datetime:
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def of(campaign: str, lead: str, kind: str, at: datetime | None = None) -> dict[str, Any]:
    """What every event of an email says."""
    delivery = delivery_id(campaign, 1, lead)
    return {
        "id": str(event_id(delivery, kind)),
        "at": at or now(),
        "delivery_id": str(delivery),
        "campaign": campaign,
        "step": 1,
        "variant": "A",
        "lead": lead,
    }


def address(lead: str) -> str:
    """A stand-in for the keyed hash of a lead's address."""
    return lead.encode().hex().ljust(32, "0")[:32]


def sent(campaign: str, lead: str, at: datetime | None = None) -> Sent:
    return Sent(
        **of(campaign, lead, "sent", at),
        sender=SENDER,
        recipient_domain="example.com",
        message_id=f"<{lead}@example.net>",
        address=address(lead),
    )


def bounced(campaign: str, lead: str, bounce_class: Any = "hard", at: datetime | None = None) -> Bounced:
    return Bounced(
        **of(campaign, lead, "bounce", at),
        sender=SENDER,
        bounce_class=bounce_class,
        category="bad-mailbox",
        status="5.1.1",
        diagnostic="550 5.1.1 no such user",
    )


def leads(number: int, of: str = "lead") -> list[str]:
    return [f"{of}-{n}" for n in range(number)]


@dataclass
class Watched:
    """A stream, and what stands on its topics of facts and pauses."""

    stream: Stream
    facts: StateTopic[Lead]
    pauses: StateTopic[Pause]

    def declare(self, campaign: str, **options: Any) -> None:
        declared = Campaign(id=campaign, name=campaign, created_at=now(), **options)
        self.stream.write(CAMPAIGNS, msgspec.json.encode(declared), key=campaign.encode())

    def happen(self, *events: Event) -> None:
        """Write events, each in a record of its own, in their order."""
        for event in events:
            partition = delivery_partition(event.delivery_id, self.stream.settings.partitions)
            self.stream.write(EVENTS, lines([event]), partition=partition)

    def happen_at_once(self, *events: Event) -> None:
        """Write events as the sender does, a record for each partition."""
        by_partition: dict[int, list[Event]] = {}
        for event in events:
            number = delivery_partition(event.delivery_id, self.stream.settings.partitions)
            by_partition.setdefault(number, []).append(event)
        for number, some in by_partition.items():
            self.stream.write(EVENTS, lines(some), partition=number)

    def holds(self, lead: str, fact: str, **key: str) -> bool:
        found = self.facts.get(lead_key(lead, fact, **key))
        return found is not None and found.holds

    def is_paused(self, campaign: str) -> bool:
        pause = self.pauses.get(campaign)
        return pause is not None and pause.paused

    def wait_for_pause(self, campaign: str, deadline: float = PATIENCE) -> None:
        wait_until(lambda: self.is_paused(campaign), deadline, f"the pause of {campaign}")

    def paused_events(self, campaign: str) -> list[CampaignPaused]:
        """The pauses of a campaign that stand on the topic of events."""
        found: list[CampaignPaused] = []
        for value in self.stream.read(EVENTS):
            events = [msgspec.json.decode(line, type=AnyEvent) for line in value.splitlines()]
            found += [one for one in events if isinstance(one, CampaignPaused) and one.campaign == campaign]
        return found


@contextmanager
def watching(stream: Stream) -> Iterator[Watched]:
    settings = stream.settings
    facts = StateTopic(settings, LEADS, Lead, key=lambda lead: lead.key)
    pauses = StateTopic(settings, PAUSES, Pause, key=lambda pause: pause.campaign)
    for view in (facts, pauses):
        view.start()
    try:
        wait_until(lambda: facts.ready and pauses.ready, PATIENCE, "the views")
        yield Watched(stream, facts, pauses)
    finally:
        for view in (facts, pauses):
            view.stop()


def records(*events: Event, topic: Topic = EVENTS) -> list[Record]:
    """Events as a stage is handed them."""
    return [Record(topic, 0, n, b"", lines([event]), now().timestamp()) for n, event in enumerate(events)]


def written(out: Sequence[OutRecord], topic: Topic) -> list[bytes]:
    return [one.value for one in out if one.topic is topic]
