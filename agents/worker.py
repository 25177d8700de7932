"""A worker: some or all stages in one process, until it is stopped or one of them can't go on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import REGISTRY, start_http_server

from agents.guard.announce import Annotate
from agents.guard.guard import Guard
from agents.judge.asn import asn_lookup
from agents.judge.country_file import country_file
from agents.judge.judge import Judge
from agents.pipeline import GUARD, JUDGE, READER, SENDER, STAGES, STORE, WEBHOOK_STAGE, Stage
from agents.reader.reader import MailReader
from agents.runtime import metrics
from agents.runtime.lag_monitor import LagMonitor, lag
from agents.runtime.wiring import StageApp
from agents.sender.stage import SenderStage
from agents.store.store import Store
from agents.webhooks.calls import WebhookCaller
from clickhouse.samples import Sampler
from decisions.robots.rules import Rules
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings
from stream.gate.broker_gate import GateState, gate_of
from stream.memory_tuning import freeze_loaded_objects, give_buffers_back
from stream.records import Handler
from stream.topic_admin import topics_at_fault

log = structlog.get_logger()

_LONGEST_DRAIN = 30.0


@dataclass(frozen=True)
class StageFactory:
    """What stages are made of: the settings, and what they reach outside the stream by."""

    settings: Settings
    annotate: Annotate | None = None


HANDLERS: dict[Stage, Callable[[StageFactory], Handler]] = {
    SENDER: lambda work: SenderStage(work.settings),
    JUDGE: lambda work: Judge(
        work.settings,
        Rules.load(asn_lookup(work.settings.asn_database)),
        countries=country_file(work.settings.country_file),
    ),
    READER: lambda work: MailReader(work.settings),
    GUARD: lambda work: Guard(work.settings, annotate=work.annotate),
    STORE: lambda work: Store(work.settings),
    WEBHOOK_STAGE: lambda work: WebhookCaller(work.settings),
}


def stages_named(names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of these names, all when there are none. Raises Misconfigured for a name that is not on the map."""
    known = {stage.name: stage for stage in STAGES}
    for name in names:
        if name not in known:
            raise Misconfigured(f"there is no stage {name}: choose from {', '.join(known)}")
    return tuple(known[name] for name in names) or STAGES


async def work(given: StageFactory, stages: Sequence[Stage], *, drain: bool = False) -> None:
    """Run the stages until SIGTERM or SIGINT. `drain`: then first finish what is on the topics, for a broker that
    forgets; a second signal stops at once. Where that broker is being replaced, what goes along to the next is left.

    Raises what ended a stage, when one did.
    """
    give_buffers_back()
    settings = given.settings
    asked = asyncio.Event()
    asked_twice = asyncio.Event()

    def on_signal() -> None:
        (asked_twice if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    if not await _topics_are_ready(settings, asked):
        return
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, settings.metrics_host)
    metrics.begin(stages)
    apps = [StageApp(stage, HANDLERS[stage](given), settings) for stage in stages]
    watch = LagMonitor(settings, {app.stage: partial(getattr, app, "owned") for app in apps})
    sampler = Sampler(settings, "worker", REGISTRY)
    await asyncio.gather(*(app.start() for app in apps))
    watch.start()
    sampler.start()
    freeze_loaded_objects()
    log.info("worker is ready", stages=[stage.name for stage in stages])
    ends = {app: asyncio.create_task(app.done()) for app in apps}
    try:
        await asyncio.wait([*ends.values(), asyncio.create_task(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
        if drain:
            await _finish(settings, ends, asked_twice)
        for end in ends.values():
            if end.done():
                end.result()
    finally:
        for end in ends.values():
            end.cancel()
        log.info("worker stops")
        await asyncio.gather(*(app.stop() for app in ends), return_exceptions=True)
        watch.stop()
        await asyncio.to_thread(sampler.stop)
    if not all(app.left for app in apps):
        sys.stdout.flush()
        os._exit(0)  # nothing is left to do, and Faust's threads would keep the process


async def _finish(settings: Settings, ends: dict[StageApp, asyncio.Task[None]], hurry: asyncio.Event) -> None:
    """See what is on the topics to its end, unless a stage has ended already. `ends` keeps the stages that run on."""
    if any(end.done() for end in ends.values()):
        return
    gate, longest = gate_of(settings), _LONGEST_DRAIN
    if gate is not None and gate.state is GateState.CLOSED:
        await _leave_what_is_carried(ends)
        longest /= 2  # nobody but the stages writes
    # What comes of an email now must still be stored; what waits is known again at the next start.
    await asyncio.wait([asyncio.gather(*(app.rest() for app in ends))], timeout=_LONGEST_DRAIN / 2)
    await _drain(settings, ends, hurry, longest)


async def _leave_what_is_carried(ends: dict[StageApp, asyncio.Task[None]]) -> None:
    """Stop the stages whose records go along to the next broker. What they have done by then is drained with the
    rest."""
    for app in [app for app in ends if app.stage.carried]:
        ends.pop(app).cancel()
        await app.stop()
        log.info("stopped, the next broker gets its records", stage=app.stage.name)


async def _topics_are_ready(settings: Settings, asked: asyncio.Event) -> bool:
    """Wait for the broker and for `sendlens migrate`, and log it; False when stopped meanwhile."""
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
    settings: Settings, ends: Mapping[StageApp, asyncio.Task[None]], hurry: asyncio.Event, longest: float
) -> None:
    """Wait until nothing is left on the topics, or a stage has ended; what one finishes may be work for another."""
    stages = tuple(app.stage for app in ends)
    deadline = asyncio.get_running_loop().time() + settings.settle_seconds + longest
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
        await asyncio.wait(ends.values(), timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
        if any(end.done() for end in ends.values()):
            break
    log.warning("stopped before all was drained", left=said)
