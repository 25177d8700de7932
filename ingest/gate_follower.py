"""What ingest does while the broker in memory is replaced: hits go to the spool, and nothing of it is at the broker.

Recipients notice nothing of it. The API and the POSTs of `/u/` answer 503 while the gate is closed, as they do when
Kafka is away. Links, campaigns and the like are known as they were, and read again from the new broker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

import structlog

from ingest.hits.commit import GroupCommit
from ingest.hits.replay import SpoolReplay
from stream.gate.broker_gate import BrokerGate, GateState
from stream.publisher import Publisher

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
# What is being replayed is 4 MB at the most.
_REPLAY_PATIENCE = 10.0
_ANSWER_PATIENCE = 5.0
_RETRY_SECONDS = 1.0


class Pausable(Protocol):
    """What reads the broker by itself, as StateTopic does."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class GateFollower:
    """Lets go of the broker when the gate is closed, and comes back to it when it is opened. On the event loop.

    The lock on the gate says that this process may write. It is given back when nothing is on its way any more.
    """

    def __init__(
        self,
        gate: BrokerGate,
        commit: GroupCommit,
        replay: SpoolReplay,
        publisher: Publisher,
        views: Sequence[Pausable],
    ) -> None:
        self._gate = gate
        self._commit = commit
        self._replay = replay
        self._publisher = publisher
        self._views = views
        self._task: asyncio.Task[None] | None = None
        self._state = GateState.OPEN
        self._closed_by = ""

    async def start(self) -> None:
        """Wait until this process may write; call it before anything is connected."""
        while not self._gate.share():  # noqa: ASYNC110  # another process lets go
            await asyncio.sleep(_LOOK_SECONDS)
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more. The lock stays until the process ends."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            notice = self._gate.notice
            # Only who has closed the gate knows which broker is behind it.
            if notice is None or notice.state is self._state or self._closed_by not in ("", notice.owner):
                continue
            log.info("the gate to the broker moves", was=self._state, now=notice.state)
            self._closed_by = notice.owner
            try:
                await self._go(notice.state)
            except Exception:
                log.exception("the gate could not be followed, trying again")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _go(self, wanted: GateState) -> None:
        match wanted:
            case GateState.SPOOLING:
                await self._spool()
            case GateState.CLOSED:
                await self._leave()
            case GateState.OPEN:
                await self._come_back()

    async def _spool(self) -> None:
        """From now on no hit goes to the broker."""
        if self._state is GateState.CLOSED:
            await self._connect()
        self._commit.to_spool = True
        await self._replay.finish(_REPLAY_PATIENCE)
        self._state = GateState.SPOOLING

    async def _leave(self) -> None:
        """From now on nothing does, and nothing is read there."""
        if self._state is GateState.OPEN:
            await self._spool()
        await self._publisher.hold(_ANSWER_PATIENCE)
        await asyncio.gather(*(asyncio.to_thread(view.pause) for view in self._views))
        self._gate.let_go()
        self._state = GateState.CLOSED

    async def _come_back(self) -> None:
        if self._state is GateState.CLOSED:
            await self._connect()
        self._commit.to_spool = False
        self._replay.start()
        self._state = GateState.OPEN
        self._closed_by = ""

    async def _connect(self) -> None:
        while not self._gate.share():  # noqa: ASYNC110  # another process lets go
            await asyncio.sleep(_LOOK_SECONDS)
        for view in self._views:
            view.resume()
        self._publisher.release()
        self._state = GateState.SPOOLING
