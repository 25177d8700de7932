"""Sends a report once to each recipient, however many processes try: under a lock, with what was sent in ClickHouse."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from clickhouse_connect.driver.client import Client

from agents.transport.operator_mail import operator_mail
from clickhouse.ask import rows
from clickhouse.schema.lock import MigrationLock, reporting
from clickhouse.store import connect
from dashboards.report.report_mail import report_id, written
from dashboards.report.report_numbers import ask
from dashboards.report.report_period import ReportPeriod, last_ended
from schemas.addresses import mailbox
from schemas.errors import Misconfigured, Reject, Retry
from schemas.senders import Senders, load
from schemas.settings import Settings

log = structlog.get_logger()

_LOOK_SECONDS = 20.0
_AGAIN = timedelta(minutes=5)
_NO_NEWS = timedelta(days=1)  # a report that is due for longer is not sent by itself


def recipients(text: str) -> list[str]:
    """The addresses of a setting, each once. Raises Misconfigured for what is no address."""
    found = []
    for one in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(mailbox(one).address)
        except Reject as refused:
            raise Misconfigured(f"SENDLENS_REPORT_TO or --to: {refused.detail}") from None
    return list(dict.fromkeys(found))


def send(
    settings: Settings, period: ReportPeriod, to: Sequence[str], now: datetime, *, again: bool = False
) -> list[str]:
    """Send the report to those who don't have it yet, or `again` to all; returns to whom.

    Raises Retry when ClickHouse or the mail server does not answer, or refuses one; the others have theirs then.
    """
    senders = load(settings)
    with connect(settings) as client, reporting(settings, client) as lock:
        wanting = [one for one in to if again or not _is_sent(client, period, one)]
        return asyncio.run(_send(settings, senders, client, lock, period, wanting, now)) if wanting else []


def write(settings: Settings, period: ReportPeriod, to: Sequence[str], now: datetime, file: Path) -> None:
    """Write the email to a file as it would be sent to the first recipient. Raises Misconfigured for a bad file."""

    async def made() -> bytes:
        report = await ask(partial(connect, settings), period)
        async with operator_mail(settings, load(settings)) as outgoing:
            mail = written(report, settings, outgoing.sender, to[0] if to else "nobody@example.com", now)
        return mail.as_bytes(policy=SMTP)

    content = asyncio.run(made())
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Misconfigured(f"--print: {file} can't be written ({error.strerror})") from None


def _is_sent(client: Client, period: ReportPeriod, to: str) -> bool:
    return bool(rows(client, "report_is_sent", report=str(report_id(period, to)))[0][0])


async def _send(
    settings: Settings,
    senders: Senders,
    client: Client,
    lock: MigrationLock,
    period: ReportPeriod,
    to: Sequence[str],
    now: datetime,
) -> list[str]:
    report = await ask(partial(connect, settings), period)
    done: list[str] = []
    refused: Retry | None = None
    async with operator_mail(settings, senders) as outgoing:
        for one in to:
            lock.check()  # a process that stood still may have been taken for dead
            try:
                await outgoing.deliver(one, written(report, settings, outgoing.sender, one, now))
            except Retry as error:
                refused = error
                continue
            row = [report_id(period, one), period.rhythm, period.since, period.until, datetime.now(UTC)]
            client.insert("reports", [row], column_names=["id", "period", "since", "until", "sent_at"])
            done.append(one)
    if refused is not None:
        raise refused
    return done


def due(settings: Settings, now: datetime) -> ReportPeriod | None:
    """The report that is to be sent now: its period is over, and SENDLENS_REPORT_HOUR has come, at most a day ago."""
    period = last_ended(now, settings.report_period, settings.report_timezone)
    begins = datetime.combine(
        period.until.astimezone(ZoneInfo(settings.report_timezone)).date(),
        datetime.min.time().replace(hour=settings.report_hour),
        ZoneInfo(settings.report_timezone),
    )
    return period if begins <= now < begins + _NO_NEWS else None


def stay(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Send each report when it is due, until SIGTERM. What does not work is tried again after five minutes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    to = recipients(settings.report_to)
    done: ReportPeriod | None = None
    not_before = datetime.min.replace(tzinfo=UTC)
    while True:
        period = due(settings, now())
        if period is not None and period != done and now() >= not_before:
            try:
                log.info("report sent", period=period.title, recipients=len(send(settings, period, to, now())))
                done = period
            except (Retry, Misconfigured) as error:
                log.warning("a report could not be sent", why=str(error)[:300], again_in=_AGAIN.total_seconds())
                not_before = now() + _AGAIN
        time.sleep(_LOOK_SECONDS)
