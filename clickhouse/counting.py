"""Keeps the numbers fast: what is derived from `events` beside `outcomes` (docs/reference/counting.md).

`propagate` belongs to every insert into `events` and is what numbers rely on: it is done before the insert counts as
done, and again whenever the insert is. `roll` counts ahead, and nobody relies on it: a stale rollup is not used.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries

FOLDER = Path(__file__).with_name("statements")

_STATEMENTS = queries.read([*queries.TEXTS, *((path.name, path.read_text()) for path in sorted(FOLDER.glob("*.sql")))])
# What counts into a table: of what, by what, and the statement.
_INTO = [
    (found["of"], found["grain"], found["table"], name)
    for name in _STATEMENTS
    if (found := re.fullmatch(r"(?P<of>email|hit)_(?P<grain>hour|day|wide)s?_into_(?P<table>\w+?)(_by_\w+)?", name))
]
COUNTS = tuple(dict.fromkeys(table for _, _, table, _ in _INTO))
# Everything that is derived from `events`. `slots` comes last, and says which counts are fresh.
DERIVED = (
    "outcomes", "rare_events", *COUNTS, "emails", "judged_hits", "arrivals", "written_hours", "lead_emails",
    "last_events", "slots",
)  # fmt: skip
# Hours counted by one statement: a million emails an hour are 48 million rows read, and some hundred MB.
_HOURS = 48
_DAYS = 16
_WIDE = 2
# Of what a statement is not asked about.
_NONE: dict[str, Any] = {"campaign": "", "deliveries": [], "of": "", "slots": []}
# A replicated table takes an insert that is like an earlier one for the same, sent again; here the second raises a sum.
_EVERY_INSERT_COUNTS = {"insert_deduplicate": 0}


def propagate(client: Client, batch: str) -> None:
    """Bring what an insert into `events` has changed to the tables that numbers are counted from. The insert must be
    over, and have been named by the setting log_comment. Raises what the client raises; then do both again."""
    _run(client, "propagate", batch)
    _run(client, "mark", batch)


def propagate_campaign(client: Client, campaign: str) -> None:
    """The same for all emails and hits of a campaign."""
    batch = secrets.token_hex(16)
    _run(client, "propagate", batch, campaign=campaign)
    _run(client, "mark", batch, campaign=campaign)


def mark_hours(client: Client, of: str, slots: Sequence[datetime]) -> None:
    """Say that these hours, of `email` or `hit`, were written to: their rollups and those of their days are stale."""
    _run(client, "mark", "", of=of, slots=list(map(_text, slots)))


def mark_everything(client: Client) -> None:
    """Say so of every hour that ever was written to."""
    _run(client, "mark_everything", "")


@contextmanager
def recounted(client: Client, deliveries: Sequence[str]) -> Iterator[None]:
    """Take these emails out of `emails`, and bring them again after what is done within, with their `outcomes`."""
    batch = secrets.token_hex(16)
    _run(client, "note_hours", batch, deliveries=list(deliveries))
    these = ", ".join(f"'{delivery}'" for delivery in deliveries)
    client.command(f"DELETE FROM emails WHERE delivery_id IN ({these})")  # noqa: S608  # our UUIDs
    yield
    _run(client, "propagate", batch, deliveries=list(deliveries))
    _run(client, "mark", batch)


def roll(client: Client, most: int = 10_000, *, wide_after_minutes: int = 0) -> int:
    """Refresh stale rollups at once, as `roll_steps` does; returns how many hours and days."""
    return sum(roll_steps(client, most, wide_after_minutes=wide_after_minutes))


def roll_steps(client: Client, most: int, *, wide_after_minutes: int = 0) -> Iterator[int]:
    """Refresh stale rollups, at most so many hours and days, a statement a step; yields how many are done with it.

    Several may run at once, and end at any step: `slots` is written last, and only it decides. Wide rollups, which cost
    more, are rebuilt only when they are `wide_after_minutes` old.
    """
    for grain, size in (("hour", _HOURS), ("day", _DAYS), ("wide", _WIDE)):
        slots: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
        query = _STATEMENTS[f"{grain}s_to_roll"]
        asked = query.values({"most": most, "minutes": wide_after_minutes})
        for of, slot, version in client.query(query.sql, parameters=asked).result_rows:
            slots[str(of)].append((slot.replace(tzinfo=UTC), int(version)))  # clickhouse-connect leaves UTC out
        yield 0
        for of, found in slots.items():
            for at in range(0, len(found), size):
                yield from _roll(client, of, grain, found[at : at + size])


def _roll(client: Client, of: str, grain: str, slots: Sequence[tuple[datetime, int]]) -> Iterator[int]:
    parameters: dict[str, Any] = {
        "slots": [_text(slot) for slot, _ in slots],
        "versions": [version for _, version in slots],
    }
    for statement in (name for *what, _, name in _INTO if what == [of, grain]):
        client.command(_STATEMENTS[statement].sql, parameters=parameters)
        yield 0
    columns = {"hour": ["counted"], "day": ["day_counted"], "wide": ["wide_counted", "wide_counted_at"]}[grain]
    now = [datetime.now(UTC)] * (len(columns) - 1)
    rows = [
        [of, hour, version, *now]
        for slot, version in slots
        for hour in ([slot] if grain == "hour" else (slot + timedelta(hours=number) for number in range(24)))
    ]
    client.insert("slots", rows, column_names=["of", "slot", *columns], settings=_EVERY_INSERT_COUNTS)
    yield len(slots)


def _run(client: Client, statement: str, batch: str, **parameters: Any) -> None:
    query = _STATEMENTS[statement]
    values = query.values(_NONE | {"batch": batch, **parameters})
    client.command(query.sql, parameters=values, settings={"log_comment": batch, **_EVERY_INSERT_COUNTS})


def _text(slot: datetime) -> str:
    return slot.strftime("%Y-%m-%d %H:%M:%S")
