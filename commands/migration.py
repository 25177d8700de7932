"""Brings ClickHouse's tables and Kafka's topics to today's shape, and fills an empty broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from clickhouse.migrate import migrate as migrate_tables
from clickhouse.store import connect
from commands.backup.refill import refill
from commands.broker.kept_records import KeptRecords
from schemas.errors import Retry
from schemas.settings import Settings
from stream.gate.broker_gate import through_gate
from stream.topic_admin import create_topics, raise_limits

T = TypeVar("T")
log = structlog.get_logger()

_PAUSE_SECONDS = 0.3


def bring_up_to_date(settings: Settings, wait: float) -> None:
    """All of `sendlens migrate`; safe to repeat. Raises Retry when Kafka or ClickHouse does not answer for `wait`
    seconds."""
    records = KeptRecords(settings)
    applied = _insist(wait, lambda: migrate_tables(settings))
    created = _insist(wait, lambda: create_topics(settings))
    raised = _insist(wait, lambda: raise_limits(settings))
    with through_gate(settings):  # not to the broker in memory while that is being replaced
        refilled = _insist(wait, lambda: _refilled(settings))
        kept = _insist(wait, lambda: records.give_back(clicks=False))
        records.forget()
    log.info(
        "migrated",
        tables=applied or "unchanged",
        topics=created or "unchanged",
        limits=raised or "unchanged",
        refilled=refilled or "nothing",
        kept=kept or "nothing",
    )


def fill_new_broker(settings: Settings, wait: float) -> None:
    """Make its topics, and fill them from ClickHouse and with what was kept, before anybody reads or writes there.

    Raises Retry as above, and when it did not take all that was kept, OSError: another empty one must then be filled.
    """
    records, deadline = KeptRecords(settings), time.monotonic() + wait
    _insist(wait, lambda: create_topics(settings))
    refilled = _insist(deadline - time.monotonic(), lambda: _refilled(settings, empty=True))
    kept = records.give_back(clicks=True)
    if kept:
        _insist(deadline - time.monotonic(), records.acknowledge_clicks)
    records.forget()
    log.info("the new broker is filled", refilled=refilled or "nothing", kept=kept or "nothing")


def _refilled(settings: Settings, *, empty: bool = False) -> dict[str, int]:
    """Can be repeated: of a key only the newest record counts."""
    with connect(settings) as client:
        return refill(settings, client, empty=empty)


def _insist(seconds: float, attempt: Callable[[], T]) -> T:
    """Try until it works or time runs out."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Retry:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
