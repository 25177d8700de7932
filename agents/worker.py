"""A worker: some or all stages in one process, until it is told to stop or one of them can't go on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial

import structlog
from prometheus_client import REGISTRY, start_http_server

from agents.asn import asn_lookup
from agents.decisions.judge import Rules
from agents.guard import Guard
from agents.judging import Judge
from agents.lag import Watch, lag
from agents.pipeline import GUARD, JUDGE, READER, SENDER, STAGES, STORE, TELLER, Stage
from agents.reader import Reader
from agents.records import Handler
from agents.sending import Sending
from agents.sinks.store import Store
from agents.topics import topics_at_fault
from agents.webhooks import Webhooks
from agents.wiring import StageApp
from clickhouse.samples import Sampler
from schemas.collector import spare_the_collector
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

log = structlog.get_logger()

_LONGEST_DRAIN = 30.0


def handler_of(stage: Stage, settings: Settings) -> Handler:
    """What does the stage's work."""
    if stage is SENDER:
        return Sending(settings)
    if stage is JUDGE:
        return Judge(settings, Rules.load(asn_lookup(settings.asn_database)))
    if stage is READER:
        return Reader(settings)
    if stage is GUARD:
        return Guard(settings)
    if stage is STORE:
        return Store(settings)
    if stage is TELLER:
        return Webhooks(settings)
    raise Misconfigured(f"no handler for stage {stage.name}")


def stages_named(names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of these names, all when there are none. Raises Misconfigured for a name that is not on the map."""
    known = {stage.name: stage for stage in STAGES}
    for name in names:
        if name not in known:
            raise Misconfigured(f"there is no stage {name}: choose from {', '.join(known)}")
    return tuple(known[name] for name in names) or STAGES


async def work(settings: Settings, stages: Sequence[Stage], *, drain: bool = False) -> None:
    """Run the stages until SIGTERM or SIGINT. `drain`: then first finish what is on the topics, for a broker that
    forgets; a second signal stops at once.

    Raises what ended a stage, when one did.
    """
    asked = asyncio.Event()
    asked_twice = asyncio.Event()

    def on_signal() -> None:
        (asked_twice if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    if not await _topics_are_ready(settings, asked):
        return
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port)
    apps = [StageApp(stage, handler_of(stage, settings), settings) for stage in stages]
    watch = Watch(settings, {app.stage: partial(getattr, app, "owned") for app in apps})
    sampler = Sampler(settings, "worker", REGISTRY)
    await asyncio.gather(*(app.start() for app in apps))
    watch.start()
    sampler.start()
    spare_the_collector()
    log.info("worker is ready", stages=[stage.name for stage in stages])
    ends = [asyncio.create_task(app.done()) for app in apps]
    try:
        await asyncio.wait([*ends, asyncio.create_task(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
        if drain and not any(end.done() for end in ends):
            # What comes of an email now must still be stored; what waits is known again at the next start.
            await asyncio.wait([asyncio.gather(*(app.rest() for app in apps))], timeout=_LONGEST_DRAIN / 2)
            await _drain(settings, tuple(stages), asked_twice, ends)
        for end in ends:
            if end.done():
                end.result()
    finally:
        for end in ends:
            end.cancel()
        log.info("worker stops")
        await asyncio.gather(*(app.stop() for app in apps), return_exceptions=True)
        watch.stop()
        await asyncio.to_thread(sampler.stop)
    if not all(app.left for app in apps):
        sys.stdout.flush()
        os._exit(0)  # nothing is left to do, and Faust's threads would keep the process


async def _topics_are_ready(settings: Settings, asked: asyncio.Event) -> bool:
    """Wait for the broker and for `sendlens migrate`, saying so; False when told to stop meanwhile."""
    said = ""
    while not asked.is_set():
        try:
            faults = await asyncio.to_thread(topics_at_fault, settings)
        except Retry as error:
            faults = [str(error)]
        if not faults:
            return True
        if any("SENDLENS_PARTITIONS" in fault for fault in faults):
            raise Misconfigured("; ".join(fault for fault in faults if "SENDLENS_PARTITIONS" in fault))
        if faults[0] != said:
            said = faults[0]
            log.info("worker waits", why=said)
        await asyncio.sleep(0.3)
    return False


async def _drain(
    settings: Settings, stages: tuple[Stage, ...], hurry: asyncio.Event, ends: Sequence[asyncio.Task[None]]
) -> None:
    """Wait until nothing is left on the topics, or a stage has ended; what one finishes may be work for another."""
    deadline = asyncio.get_running_loop().time() + settings.settle_seconds + _LONGEST_DRAIN
    said: dict[str, int] = {}
    while not hurry.is_set() and asyncio.get_running_loop().time() < deadline:
        try:
            left = {name: count for name, count in (await asyncio.to_thread(lag, settings, stages)).items() if count}
        except Retry as error:
            log.warning("can't drain", why=str(error))
            return
        if not left:
            log.info("drained: every record is acknowledged")
            return
        if left != said:
            said = left
            log.info("draining before the stop", left=left)
        await asyncio.wait(ends, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
        if any(end.done() for end in ends):
            break
    log.warning("stopped before all was drained", left=said)
