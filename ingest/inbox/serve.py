"""Reads all mailboxes in one process until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import start_http_server

from clickhouse.samples import Sampler
from ingest.inbox.follower import MailboxFollower
from ingest.inbox.imap import connect
from ingest.inbox.inbox_metrics import InboxMetrics
from ingest.inbox.mail_publisher import MailPublisher, StopSignal
from ingest.inbox.positions import PositionFile
from schemas.errors import Misconfigured
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.state.positions import Position
from schemas.topics import MAIL, POSITIONS
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

# From the signal to the end: what is on its way to Kafka is seen through, then connections are cut.
_PATIENCE = 3.0
_READY_POLL = 0.1


async def serve(settings: Settings, senders: Senders) -> None:
    """Follow every mailbox. Returns when told to stop. Raises Misconfigured when it can't begin."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    metrics = InboxMetrics()
    metrics.begin(account.address for account in senders.mailboxes)
    if settings.inbox_metrics_port:
        start_http_server(settings.inbox_metrics_port, settings.metrics_host, metrics.registry)
    if not senders.mailboxes:
        log.info("no mailboxes configured: no account has [account.imap]", file=str(settings.senders))
        await asked.wait()
        return
    for account in senders.mailboxes:
        if account.imap is not None:
            senders.check_variables(account.imap)  # raises now, with the variable to set
    with _alone(settings.data_dir / "inbox"):
        sampler = Sampler(settings, "inbox", metrics.registry)
        sampler.start()
        try:
            await _read(settings, senders, metrics, asked)
        finally:
            await asyncio.to_thread(sampler.stop)


async def _read(settings: Settings, senders: Senders, metrics: InboxMetrics, asked: asyncio.Event) -> None:
    file = PositionFile(settings.data_dir / "inbox" / "positions.ndjson")
    publisher = Publisher(settings, [MAIL, POSITIONS])
    view = StateTopic(settings, POSITIONS, Position, lambda position: position.key)
    publisher.start()
    view.start()
    stop = StopSignal()
    followers: list[MailboxFollower] = []
    threads: list[threading.Thread] = []
    try:
        while not view.ready and not asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), _READY_POLL)
        if asked.is_set():
            return
        mail_publisher = MailPublisher(publisher, view, file, metrics, stop)
        followers = [
            MailboxFollower(
                account.address,
                account.imap.folders,
                partial(connect, account, senders),
                mail_publisher,
                metrics,
                stop,
                days=settings.inbox_days,
                poll_seconds=settings.inbox_poll_seconds,
                clock=lambda: datetime.now(UTC),
                share=random.random,
            )
            for account in senders.mailboxes
            if account.imap is not None
        ]
        threads = [threading.Thread(target=box.run, name=f"mailbox-{box.name}", daemon=True) for box in followers]
        for thread in threads:
            thread.start()
        log.info("inbox is ready", mailboxes=len(followers))
        await asked.wait()
    finally:
        log.info("inbox stops")
        stop.ask()
        if not await _ended(threads, _PATIENCE):
            for follower in followers:
                follower.break_off()
            await _ended(threads, 1.0)
        await publisher.stop(1.0)
        await asyncio.to_thread(view.stop)


async def _ended(threads: Sequence[threading.Thread], seconds: float) -> bool:
    """Whether all threads have ended, after so long at the most."""
    deadline = asyncio.get_running_loop().time() + seconds
    while any(thread.is_alive() for thread in threads):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the data directory's inbox: two processes would read every mail twice. The lock dies with its process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise Misconfigured(f"SENDLENS_DATA_DIR: {folder} can't be used ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Misconfigured(f"another `sendlens inbox` reads the mailboxes already, with {folder}") from None
        yield
