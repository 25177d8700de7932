"""Adds, lists, removes and enables webhook endpoints, and redelivers the events that they missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from clickhouse_connect.driver.client import Client

from agents.webhooks.calls import call_record, endpoint_record
from clickhouse.ask import json_lines, rows
from decisions.effects.webhook_messages import report
from schemas.errors import Misconfigured, Reject
from schemas.events import EVENTS as EVERY_EVENT
from schemas.events import lines
from schemas.settings import Settings
from schemas.state.endpoints import new_endpoint, secret
from schemas.state.webhook_calls import Call, Endpoint
from schemas.topics import EVENTS
from stream.endpoints_view import endpoints_view
from stream.records import OutRecord
from stream.state import read_to_end
from stream.write_all import write_all

_PATIENCE_SECONDS = 20.0
_TOGETHER = 1_000  # calls written before the broker is waited for

_STRUCTS = {str(event.__struct_config__.tag): event for event in EVERY_EVENT}


def add(
    settings: Settings, url: str, kinds: Sequence[str], now: datetime, *, with_to: bool = False
) -> tuple[Endpoint, str]:
    """Add an endpoint for events of these kinds, from now on; of all kinds when none is given. Returns it and
    its secret as Standard Webhooks spells it. Raises Misconfigured for what can't be one, Retry without a broker."""
    try:
        endpoint = new_endpoint(settings, url, kinds, now, with_to=with_to)
    except Reject as error:
        raise Misconfigured(error.detail or error.reason) from None
    write_all(settings, [endpoint_record(settings, endpoint)])
    return endpoint, secret(settings, endpoint.id)


def listed(settings: Settings) -> list[Endpoint]:
    """Every endpoint, oldest first. Raises Retry when the broker does not answer."""
    view = endpoints_view(settings)
    with read_to_end(view, patience=_PATIENCE_SECONDS):
        return sorted(view, key=lambda endpoint: endpoint.created_at)


def named(settings: Settings, start_of_id: str) -> Endpoint:
    """The endpoint with this id, or the only one whose id starts so. Raises Misconfigured when not exactly one does."""
    found = [endpoint for endpoint in listed(settings) if endpoint.id.startswith(start_of_id)]
    if len(found) != 1 or not start_of_id:
        raise Misconfigured(f"{len(found)} endpoints start with {start_of_id!r}: see `sendlens webhooks list`")
    return found[0]


def change(settings: Settings, endpoint: Endpoint, state: str, now: datetime) -> Endpoint:
    """Enable, disable or remove it."""
    changed = msgspec.structs.replace(endpoint, state=state, since=now, reason="")
    write_all(settings, [endpoint_record(settings, changed)])
    return changed


def redeliver(
    settings: Settings, client: Client, endpoint: Endpoint, start: datetime, end: datetime, now: datetime
) -> int:
    """Redeliver the stored events of this period that the endpoint is subscribed to; returns how many.

    They keep their ids, so an endpoint can recognise a repeat. Raises Misconfigured when the endpoint is disabled.
    """
    if endpoint.state != "enabled":
        raise Misconfigured(f"endpoint {endpoint.id} is {endpoint.state}: enable it first")
    count, some = 0, list[bytes]()
    for line in json_lines(client, "events_to_redeliver", start=start, end=end, kinds=list(endpoint.kinds)):
        some.append(line)
        if len(some) == _TOGETHER:
            write_all(settings, _calls(settings, client, endpoint, some, now))
            count, some = count + len(some), []
    write_all(settings, _calls(settings, client, endpoint, some, now))
    return count + len(some)


def _calls(
    settings: Settings, client: Client, endpoint: Endpoint, rows_as_json: Sequence[bytes], now: datetime
) -> list[OutRecord]:
    stored = [msgspec.json.decode(line) for line in rows_as_json]
    # A row has columns for all kinds of events; the event is those of its own kind.
    told = [report(lines([msgspec.convert(row, _STRUCTS[row["kind"]], strict=False)])) for row in stored]
    known: dict[str, str] = {}
    if endpoint.with_to and settings.webhooks_to and stored:
        of = {message.delivery: str(message.data["campaign"]) for message in told if message.delivery}
        known = dict(rows(client, "recipient_addresses", campaigns=sorted(set(of.values())), deliveries=sorted(of)))
    return [
        call_record(
            settings,
            Call(
                endpoint=endpoint.id,
                event=message.id,
                kind=message.kind,
                partition=settings.partition_of(EVENTS, row["delivery_id"]),
                attempt=0,
                first_at=now,
                due_at=now,
                body=message.body(known.get(message.delivery, "") if endpoint.with_to else None).decode(),
            ),
        )
        for row, message in zip(stored, told, strict=True)
    ]
