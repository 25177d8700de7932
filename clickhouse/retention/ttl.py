"""Brings the tables' TTLs to the settings, at every `sendlens migrate`.

ClickHouse deletes and blanks by itself, in merges, within hours. A changed TTL costs little: of the parts that are
there only the moments are read by which they expire (`materialize_ttl_recalculate_only`).

Blanking is a TTL of columns. What is counted stays: of robots the user agent, and of robots and machines the address
where their network has no name, because boards show hits by those (judged_hits_from_events in 020_emails.sql, which
takes nothing else of a hit).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from clickhouse_connect.driver.client import Client

from clickhouse.schema import migrations
from schemas.errors import Misconfigured
from schemas.settings import Settings

# The setting that says for how many days each table is kept. Tables whose TTL is hours are the store's own notes.
KEPT_BY = {
    "hits": "keep_hits_days",
    "attempts": "keep_attempts_days",
    "retries": "keep_retries_days",
    "calls": "keep_calls_days",
    "samples": "keep_samples_days",
    "samples_by_half_hour": "keep_half_hours_days",
}
# Days for which a stage may still ask for them: hits that come late, emails that an operator is to decide about, calls
# that are tried again.
_AT_LEAST = {"hits": 3, "attempts": 15, "retries": 15, "calls": 7}
# Columns of `events` that are blanked, and of which events they are not.
_BLANKED = {
    "user_agent": "verdict = 'bot'",
    "ip": "verdict IN ('bot', 'machine') AND network = ''",
}
_NEVER = "toDateTime('2106-01-01 00:00:00', 'UTC')"
_IN_SCHEMA = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<table>\w+).*^TTL (?P<time>.+) \+ INTERVAL (?P<days>\d+) DAY$",
    re.DOTALL | re.MULTILINE,
)
_DAYS = re.compile(r"\bTTL (?:(?!\n).)*?toIntervalDay\((\d+)\)")
_DEFINITIONS = """
SELECT replaceRegexpOne(name, '_local$', ''), create_table_query, engine_full
FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
"""
_COLUMN = "(?:^|[(,] )`{column}` (?:(?!, `).)*?\\bTTL (?:(?!, `).)*?toIntervalDay\\((\\d+)\\)"


def days_in_schema() -> dict[str, tuple[str, int]]:
    """By table, the time that its TTL goes by and the days that it is made with."""
    found = {}
    for migration in migrations():
        for statement in migration.tables:
            if ttl := _IN_SCHEMA.search(statement):
                found[ttl["table"]] = (ttl["time"], int(ttl["days"]))
    return found


def wanted_days(settings: Settings) -> dict[str, int]:
    """For how many days each table is kept; 0 for ever. Raw hits have what is blanked in events, and go as early.

    Raises Misconfigured for a time in which a stage may still ask for the rows.
    """
    days = {table: int(getattr(settings, name)) for table, name in KEPT_BY.items()}
    for table, least in _AT_LEAST.items():
        if 0 < days[table] < least:
            raise Misconfigured(f"SENDLENS_{KEPT_BY[table].upper()}: must be {least} or more, or 0 for ever")
    if settings.blank_after_days:
        days["hits"] = min(days["hits"] or settings.blank_after_days, settings.blank_after_days)
    return days


def apply(client: Client, settings: Settings, check: Callable[[], None]) -> list[str]:
    """Change the TTLs that are not as the settings say; returns the names of their tables. `check` is called before
    each change."""
    definitions = {
        str(name): (str(query), str(engine)) for name, query, engine in client.query(_DEFINITIONS).result_rows
    }
    changed = []
    for table, statements in _changes(definitions, settings):
        check()
        client.command(f"ALTER TABLE {table} MODIFY SETTING materialize_ttl_recalculate_only = 1")
        for statement in statements:
            client.command(statement)
        changed.append(table)
    return changed


def _changes(definitions: dict[str, tuple[str, str]], settings: Settings) -> Iterator[tuple[str, list[str]]]:
    times = days_in_schema()
    for table, days in wanted_days(settings).items():
        if table in definitions and days != _days(_DAYS, definitions[table][1]):
            time, _ = times[table]
            yield (
                table,
                [
                    f"ALTER TABLE {table}\n    MODIFY TTL {time} + INTERVAL {days} DAY"
                    if days
                    else f"ALTER TABLE {table}\n    REMOVE TTL"
                ],
            )
    if "events" in definitions:
        days = settings.blank_after_days
        query = definitions["events"][0]
        columns = [name for name in _BLANKED if _days(re.compile(_COLUMN.format(column=name)), query) != days]
        if columns:
            yield "events", ["ALTER TABLE events\n    " + ",\n    ".join(_column(name, days) for name in columns)]


def _column(name: str, days: int) -> str:
    if not days:
        return f"MODIFY COLUMN {name} REMOVE TTL"
    return f"MODIFY COLUMN {name} TTL if({_BLANKED[name]}, {_NEVER}, toDateTime(at) + INTERVAL {days} DAY)"


def _days(pattern: re.Pattern[str], definition: str) -> int:
    found = pattern.search(definition)
    return int(found[1]) if found else 0
