"""Adding, listing, removing and enabling the endpoints of webhooks, and telling them again what they missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from clickhouse_connect.driver.client import Client

from agents.decisions.webhooks import report
from agents.records import Out
from agents.webhooks import call_record, endpoint_record
from agents.writing import write_all
from schemas.endpoints import endpoints_view, new_endpoint, secret
from schemas.errors import Misconfigured, Reject
from schemas.events import EVENTS as EVERY_EVENT
from schemas.events import lines
from schemas.settings import Settings
from schemas.state import read_to_end
from schemas.topics import EVENTS
from schemas.webhooks import Call, Endpoint

_PATIENCE_SECONDS = 20.0
_TOGETHER = 1_000  # calls written before the broker is waited for

_STRUCTS = {str(event.__struct_config__.tag): event for event in EVERY_EVENT}

_EVENTS = """
SELECT * FROM events FINAL
WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
    AND (empty({kinds:Array(String)}) OR has({kinds:Array(String)}, kind))
ORDER BY at, id
FORMAT JSONEachRow
"""


def add(settings: Settings, url: str, kinds: Sequence[str], now: datetime) -> tuple[Endpoint, str]:
    """Make an endpoint that is told of these kinds of events from now on, of all when there are none; returns it and
    its secret as Standard Webhooks spells it. Raises Misconfigured for what can't be one, Retry without a broker."""
    try:
        endpoint = new_endpoint(settings, url, kinds, now)
    except Reject as error:
        raise Misconfigured(error.detail or error.reason) from None
    write_all(settings, [endpoint_record(settings, endpoint)])
    return endpoint, secret(settings, endpoint.id)


def listed(settings: Settings) -> list[Endpoint]:
    """Every endpoint, oldest first. Raises Retry when the broker can't say."""
    view = endpoints_view(settings)
    with read_to_end(view, patience=_PATIENCE_SECONDS):
        return sorted(view, key=lambda endpoint: endpoint.created_at)


def named(settings: Settings, start_of_id: str) -> Endpoint:
    """The endpoint of this id, or of the only id that starts so. Raises Misconfigured when there is none or several."""
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
    """Have the endpoint told again of the stored events of this time that it wants; returns how many.

    They carry the ids that they had: an endpoint that has seen one can tell. Raises Misconfigured when it is disabled.
    """
    if endpoint.state != "enabled":
        raise Misconfigured(f"endpoint {endpoint.id} is {endpoint.state}: enable it first")
    count, some = 0, []
    for line in _events(client, endpoint, start, end):
        some.append(_call(settings, endpoint, line, now))
        if len(some) == _TOGETHER:
            write_all(settings, some)
            count, some = count + len(some), []
    write_all(settings, some)
    return count + len(some)


def _events(client: Client, endpoint: Endpoint, start: datetime, end: datetime) -> Iterator[bytes]:
    asked = {"start": start, "end": end, "kinds": list(endpoint.kinds)}
    with client.raw_stream(_EVENTS, parameters=asked, settings={"date_time_output_format": "iso"}) as stream:
        rest = b""
        while chunk := stream.read(65_536):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from filter(None, whole)
        if rest:
            yield rest


def _call(settings: Settings, endpoint: Endpoint, line: bytes, now: datetime) -> Out:
    row = msgspec.json.decode(line)
    # A row has columns for all kinds of events; the event is those of its own kind.
    event = msgspec.convert(row, _STRUCTS[row["kind"]], strict=False)
    told = report(lines([event]))
    call = Call(
        endpoint=endpoint.id,
        event=told.id,
        kind=told.kind,
        partition=settings.partition_of(EVENTS, row["delivery_id"]),
        attempt=0,
        first_at=now,
        due_at=now,
        body=told.body.decode(),
    )
    return call_record(settings, call)
