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
from stream.topic_admin import create_topics, raise_limits

T = TypeVar("T")
log = structlog.get_logger()

_PAUSE_SECONDS = 0.3


def bring_up_to_date(settings: Settings, wait: float) -> None:
    """All of `sendlens migrate`; safe to repeat. Raises Retry when Kafka or ClickHouse does not answer for `wait`
    seconds."""
    applied = _insist(wait, lambda: migrate_tables(settings))
    created = _insist(wait, lambda: create_topics(settings))
    raised = _insist(wait, lambda: raise_limits(settings))
    with connect(settings) as client:
        refilled = _insist(wait, lambda: refill(settings, client))
    kept = _insist(wait, lambda: KeptRecords(settings).give_back(clicks=False))
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
    Raises Retry as above."""
    _insist(wait, lambda: create_topics(settings))
    with connect(settings) as client:
        refilled = _insist(wait, lambda: refill(settings, client, empty=True))
    kept = _insist(wait, lambda: KeptRecords(settings).give_back(clicks=True))
    log.info("the new broker is filled", refilled=refilled or "nothing", kept=kept or "nothing")


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
