"""Fills the state topics of a new broker from ClickHouse, the system of record.

The embedded broker keeps topics in memory, and a cluster's may be lost: campaigns, suppressed leads, links and the
recent deliveries then come back from here. What a topic holds is left alone, for it may be newer; what it lacks is
published, also where an earlier run was killed half-way: a lead that is missing would be mailed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from agents.records import Out
from agents.writing import write_all
from schemas.attempts import Attempt, Waiting
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send
from schemas.settings import Settings
from schemas.state import StateTopic, read_to_end
from schemas.topics import (
    ATTEMPTS,
    CALLS,
    CAMPAIGNS,
    DELIVERIES,
    LEADS,
    LINKS,
    PAUSES,
    RETRIES,
    WEBHOOKS,
    Topic,
)
from schemas.webhooks import Call, Endpoint

_PATIENCE = 600.0  # seconds to read a topic to its end; some 50,000 records a second
# How each topic is read: its struct, whose fields the query gives in their order, and the struct's key.
_HOLDS: dict[Topic, tuple[type[Any], Callable[[Any], str]]] = {
    CAMPAIGNS: (Campaign, lambda campaign: campaign.id),
    PAUSES: (Pause, lambda pause: pause.campaign),
    LEADS: (Lead, lambda lead: lead.key),
    LINKS: (Link, lambda link: link.link_id),
    WEBHOOKS: (Endpoint, lambda endpoint: endpoint.id),
    CALLS: (Call, lambda call: call.key),
    DELIVERIES: (Delivery, lambda delivery: delivery.delivery_id),
    ATTEMPTS: (Attempt, lambda attempt: attempt.delivery_id),
    RETRIES: (Waiting, lambda waiting: waiting.delivery_id),
}
_READ = {
    CAMPAIGNS: """
        SELECT
            id, name, created_at, check_reply, track_opens, track_clicks, wrap_text_links,
            bounce_limit, bounce_min_sends
        FROM campaigns FINAL
    """,
    PAUSES: "SELECT campaign, paused, at, reason FROM pauses FINAL",
    LEADS: "SELECT lead, fact, at, of, campaign, holds FROM lead_facts FINAL",
    LINKS: "SELECT toString(link_id), campaign, url FROM links FINAL",
    WEBHOOKS: "SELECT toString(id), url, kinds, created_at, state, since, reason FROM webhooks FINAL",
    CALLS: """
        SELECT
            toString(endpoint), toString(event), kind, partition, attempt, first_at, due_at, state, answer, body
        FROM calls FINAL
        WHERE state = 'waiting'
    """,
    DELIVERIES: """
        SELECT toString(delivery_id), any(request_id), min(at)
        FROM events
        WHERE kind = 'delivered' AND at > now() - INTERVAL 2 DAY
        GROUP BY delivery_id
    """,
    # Those of two days, from which accounts' limits are counted, and all whose outcome nobody knows.
    ATTEMPTS: """
        SELECT toString(delivery_id), toString(request_id), attempt, at, sender, message_id, outcome
        FROM attempts FINAL
        WHERE outcome = '' OR at > now() - INTERVAL 2 DAY
    """,
    RETRIES: """
        SELECT
            toString(delivery_id), toString(request_id), campaign, step, lead, sender, state, attempt,
            first_at, due_at, at, message_id, send
        FROM retries FINAL
        WHERE state != 'settled'
    """,
}


def restore(settings: Settings, client: Client) -> dict[str, int]:
    """Publish what ClickHouse knows and the state topics do not; returns how many records, by topic.

    Raises Retry when the broker can't be reached.
    """
    restored: dict[str, int] = {}
    for topic in _READ:
        there = _keys(settings, topic)
        lacking = (Out.keyed(settings, topic, key, value) for key, value in _records(client, topic) if key not in there)
        if count := write_all(settings, lacking):
            restored[topic.name] = count
    return restored


def _records(client: Client, topic: Topic) -> Iterator[tuple[str, bytes]]:
    """Key and value of each record, as the topic's own writers make them."""
    struct, key = _HOLDS[topic]
    with client.query_rows_stream(_READ[topic]) as rows:
        for row in rows:
            fields = dict(zip(struct.__struct_fields__, map(_with_utc, row), strict=True))
            if topic is RETRIES:
                fields["send"] = msgspec.json.decode(fields["send"], type=Send)
            record = struct(**fields)
            yield key(record), msgspec.json.encode(record)


def _with_utc(value: object) -> object:
    """clickhouse-connect leaves UTC out of a time."""
    return value.replace(tzinfo=value.tzinfo or UTC) if isinstance(value, datetime) else value


def _keys(settings: Settings, topic: Topic) -> set[str]:
    """The keys that the topic holds a record of."""
    view = StateTopic(settings, topic, *_HOLDS[topic])
    with read_to_end(view, patience=_PATIENCE):
        return set(view.keys())
