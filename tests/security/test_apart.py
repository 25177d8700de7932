"""Large emails are instrumented in another process: as they are in this one, within a time, and with an end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from decisions.sending.own_system import InstrumentTerms, ReadyEmail, instrumenting, terms_of
from ingest.api.instrument import instrument_pool
from ingest.api.instrument.frames import Job
from ingest.api.instrument.instrument_pool import AT_ONCE, InstrumentPool
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Send
from schemas.senders import Senders
from schemas.settings import Settings
from tests.agents.mails import a_send
from tests.bench.newsletters import newsletter

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
CAMPAIGN = Campaign(id="spring", name="Spring", created_at=NOW)


@pytest.fixture
def terms() -> InstrumentTerms:
    return terms_of(Settings(_env_file=None, token_keys="7:an-old-kettle-and-a-new-one"), Senders((), None, dict))


@pytest.fixture
def pool(terms: InstrumentTerms) -> Iterator[InstrumentPool]:
    made = InstrumentPool(terms)
    yield made
    made.stop()


def large(**changes: object) -> Send:
    return a_send(html=newsletter(AT_ONCE + 50_000), **changes)


async def test_a_large_email_is_what_it_would_be_in_this_process(terms: InstrumentTerms, pool: InstrumentPool) -> None:
    send = large()
    assert await pool.make(send, CAMPAIGN, NOW) == instrumenting(terms)(send, CAMPAIGN, NOW)
    assert len(pool._all) == 1


async def test_a_small_one_starts_no_process(terms: InstrumentTerms, pool: InstrumentPool) -> None:
    assert await pool.make(a_send(), CAMPAIGN, NOW) == instrumenting(terms)(a_send(), CAMPAIGN, NOW)
    assert not pool._all


async def test_what_can_not_become_an_email_is_refused_as_here(pool: InstrumentPool) -> None:
    with pytest.raises(Reject, match="id-too-long"):
        await pool.make(large(variant="v" * 100), CAMPAIGN, NOW)
    assert isinstance(await pool.make(large(), CAMPAIGN, NOW), ReadyEmail)


async def test_more_addresses_than_a_newsletter_has_are_refused(pool: InstrumentPool) -> None:
    html = "".join(f"<a href=http://x.example/{number}>" for number in range(6000))
    with pytest.raises(Reject, match="too-many-links"):
        await pool.make(a_send(html=html), CAMPAIGN, NOW)


async def test_one_that_takes_too_long_is_given_up_and_the_next_is_made(terms: InstrumentTerms) -> None:
    stuck = (sys.executable, "-c", "import sys, time; sys.stdin.buffer.read(4); time.sleep(1000)")
    hanging = InstrumentPool(terms, 0.2, stuck)
    try:
        with pytest.raises(Reject, match="too-slow"):
            await hanging.make(large(), CAMPAIGN, NOW)
        assert not hanging._all
        hanging._command, hanging._seconds = instrument_pool._COMMAND, 60.0
        assert isinstance(await hanging.make(large(), CAMPAIGN, NOW), ReadyEmail)
    finally:
        hanging.stop()


async def test_a_process_that_dies_costs_a_retry_and_no_more(terms: InstrumentTerms) -> None:
    dies = InstrumentPool(terms, command=(sys.executable, "-c", ""))
    try:
        with pytest.raises(Retry):
            await dies.make(large(), CAMPAIGN, NOW)
        dies._command = instrument_pool._COMMAND
        assert isinstance(await dies.make(large(), CAMPAIGN, NOW), ReadyEmail)
    finally:
        dies.stop()


async def test_a_queue_that_is_full_asks_to_come_again(pool: InstrumentPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs wait for as long as this test wants: their process is not asked before."""
    go, ask = threading.Event(), pool._ask

    def asked_later(job: Job) -> object:
        go.wait(60)
        return ask(job)

    monkeypatch.setattr(pool, "_ask", asked_later)
    monkeypatch.setattr(instrument_pool, "_MOST_WAITING", 3)
    waiting = [asyncio.ensure_future(pool.make(large(), CAMPAIGN, NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Retry, match="too many"):
        await pool.make(large(), CAMPAIGN, NOW)
    assert isinstance(await pool.make(a_send(), CAMPAIGN, NOW), ReadyEmail)
    go.set()
    assert all(isinstance(made, ReadyEmail) for made in await asyncio.gather(*waiting))


_PARENT = """
import asyncio, signal
from tests.security.test_apart import CAMPAIGN, NOW, InstrumentPool, Senders, Settings, large, terms_of
settings = Settings(_env_file=None, token_keys="7:an-old-kettle-and-a-new-one")
instrumenters = InstrumentPool(terms_of(settings, Senders((), None, dict)))
asyncio.run(instrumenters.make(large(), CAMPAIGN, NOW))
[process] = instrumenters._all
print(process._popen.pid, flush=True)
signal.pause()
"""


def test_it_ends_when_who_started_it_is_killed() -> None:
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        ended = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert select.select([ended], [], [], 60)[0], "it still runs"
        os.close(ended)
    finally:
        parent.kill()
        parent.stdout.close()
