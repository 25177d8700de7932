"""Fills the state topics of a new broker from ClickHouse, the system of record.

The broker of one machine may keep topics in memory, and Kafka's may be lost: campaigns, suppressed leads, links and the
recent deliveries then come back from here. What a topic holds is left alone, for it may be newer; what it lacks is
published, also where an earlier run was killed half-way: a lead that is missing would be mailed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.ask import each
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send
from schemas.settings import Settings
from schemas.state.attempts import Attempt, Waiting
from schemas.state.previews import Preview
from schemas.state.webhook_calls import Call, Endpoint
from schemas.topics import (
    ATTEMPTS,
    CALLS,
    CAMPAIGNS,
    DELIVERIES,
    LEADS,
    LINKS,
    PAUSES,
    PREVIEWS,
    RETRIES,
    WEBHOOKS,
    Topic,
)
from stream.records import OutRecord
from stream.state import StateTopic, read_to_end
from stream.write_all import fill

_PATIENCE = 600.0  # seconds to read a topic to its end; some 50,000 records a second
# Each topic's struct, whose fields its query in refill.sql gives in their order, and the struct's key.
_HOLDS: dict[Topic, tuple[type[Any], Callable[[Any], str]]] = {
    CAMPAIGNS: (Campaign, lambda campaign: campaign.id),
    PAUSES: (Pause, lambda pause: pause.campaign),
    LEADS: (Lead, lambda lead: lead.key),
    LINKS: (Link, lambda link: link.link_id),
    PREVIEWS: (Preview, lambda preview: preview.key),
    WEBHOOKS: (Endpoint, lambda endpoint: endpoint.id),
    CALLS: (Call, lambda call: call.key),
    DELIVERIES: (Delivery, lambda delivery: delivery.delivery_id),
    ATTEMPTS: (Attempt, lambda attempt: attempt.delivery_id),
    RETRIES: (Waiting, lambda waiting: waiting.delivery_id),
}


def refill(settings: Settings, client: Client, *, empty: bool = False) -> dict[str, int]:
    """Publish what ClickHouse knows and the state topics do not; returns how many records, by topic.

    `empty`: the topics are new, and need not be read before. Raises Retry when the broker can't be reached.
    """
    refilled: dict[str, int] = {}
    for topic in _HOLDS:
        there = set() if empty else _keys(settings, topic)
        lacking = (
            OutRecord.keyed(settings, topic, key, value) for key, value in _records(client, topic) if key not in there
        )
        if count := fill(settings, lacking):
            refilled[topic.name] = count
    return refilled


def _records(client: Client, topic: Topic) -> Iterator[tuple[str, bytes]]:
    """Key and value of each record, as the topic's own writers make them."""
    struct, key = _HOLDS[topic]
    for row in each(client, f"refill_{topic.name}"):
        fields = dict(zip(struct.__struct_fields__, row, strict=True))
        if topic is RETRIES:
            fields["send"] = msgspec.json.decode(fields["send"], type=Send)
        record = struct(**fields)
        yield key(record), msgspec.json.encode(record)


def _keys(settings: Settings, topic: Topic) -> set[str]:
    """The keys that the topic holds a record of."""
    view = StateTopic(settings, topic, *_HOLDS[topic])
    with read_to_end(view, patience=_PATIENCE):
        return set(view.keys())
