"""Keeps the numbers fast: what is derived from `events` beside `outcomes` (docs/architecture.md, "Counting").

`carry` belongs to every insert into `events` and is what numbers rely on: it is done before the insert counts as done,
and again whenever the insert is. `roll` counts ahead, and nobody relies on it: counts that don't hold are not used.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries

FOLDER = Path(__file__).with_name("statements")

_STATEMENTS = queries.read(
    (path.name, path.read_text()) for folder in (queries.FOLDER, FOLDER) for path in sorted(folder.glob("*.sql"))
)
# What counts into a table: of what, by what, and the statement.
_INTO = [
    (found["of"], found["grain"], name)
    for name in _STATEMENTS
    if (found := re.fullmatch(r"(?P<of>email|hit)_(?P<grain>hour|day|wide)s?_into_(?P<table>\w+)", name))
]
COUNTS = tuple(dict.fromkeys(name.partition("_into_")[2] for _, _, name in _INTO))
# Everything that is derived from `events`. `touched` comes last, and is what all else is held against.
DERIVED = (
    "outcomes", "rare_events", "rolled", *COUNTS, "emails", "judged_hits", "arrivals", "carried", "lead_emails",
    "last_events", "touched",
)  # fmt: skip
# Hours counted by one statement: a million emails an hour are 48 million rows read, and some hundred MB.
_HOURS = 48
_DAYS = 16
_WIDE = 2


def carry(client: Client, batch: str) -> None:
    """Bring what an insert into `events` has changed to the tables that numbers are counted from. The insert must be
    over, and have been named by the setting log_comment. Raises what the client raises; then do both again."""
    _run(client, "carry_emails", batch)
    _run(client, "touch", batch)


def carry_campaign(client: Client, campaign: str) -> None:
    """The same for all emails and hits of a campaign."""
    batch = secrets.token_hex(16)
    _run(client, "carry_campaign", batch, campaign=campaign)
    _run(client, "touch", batch)
    _run(client, "touch_hits", batch, campaign=campaign)


@contextmanager
def carried_anew(client: Client, deliveries: Sequence[str]) -> Iterator[None]:
    """Take these emails out of `emails`, and bring them again after what is done within, with their `outcomes`."""
    batch = secrets.token_hex(16)
    _run(client, "note_slots", batch, deliveries=list(deliveries))
    these = ", ".join(f"'{delivery}'" for delivery in deliveries)
    client.command(f"DELETE FROM emails WHERE delivery_id IN ({these})")  # noqa: S608  # our UUIDs
    yield
    _run(client, "carry_some", batch, deliveries=list(deliveries))
    _run(client, "touch", batch)


def roll(client: Client, most: int = 10_000, *, wide_after_minutes: int = 0) -> int:
    """Count ahead what is not, at most so many hours and days; returns how many were. Any number may do it at once, and
    be killed at it: what is marked last, in `rolled`, is all that is looked at. Wide counts, which cost more, are only
    made anew when they are `wide_after_minutes` old."""
    done = 0
    for grain, size in (("hour", _HOURS), ("day", _DAYS), ("wide", _WIDE)):
        slots: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
        query = _STATEMENTS[f"{grain}s_to_roll"]
        asked = query.values({"most": most, "minutes": wide_after_minutes})
        for of, slot, times in client.query(query.sql, parameters=asked).result_rows:
            slots[str(of)].append((slot.replace(tzinfo=UTC), int(times)))  # clickhouse-connect leaves UTC out
        for of, found in slots.items():
            for at in range(0, len(found), size):
                _roll(client, of, grain, found[at : at + size])
                done += len(found[at : at + size])
    return done


def _roll(client: Client, of: str, grain: str, slots: Sequence[tuple[datetime, int]]) -> None:
    parameters: dict[str, Any] = {
        "slots": [slot.strftime("%Y-%m-%d %H:%M:%S") for slot, _ in slots],
        "seen": [times for _, times in slots],
    }
    for statement in (name for *what, name in _INTO if what == [of, grain]):
        client.command(_STATEMENTS[statement].sql, parameters=parameters)
    client.insert(
        "rolled", [[of, grain, slot, times] for slot, times in slots], column_names=["of", "grain", "slot", "seen"]
    )


def _run(client: Client, statement: str, batch: str, **parameters: Any) -> None:
    parameters["batch"] = batch
    query = _STATEMENTS[statement]
    client.command(query.sql, parameters=query.values(parameters), settings={"log_comment": batch})
