"""The spool: where hits are safe while Kafka is away, on the disk of this machine.

Appended in groups, each seen onto the disk (fdatasync) before its hits are answered, so that neither `kill -9` nor a
power cut loses an answered hit. Every process has files of its own, and takes up those of processes that are gone.
Bounded in bytes: what does not fit is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from ingest.hits.segment import SUFFIX, Frame, Segment, size_of
from ingest.metrics import IngestMetrics
from schemas.errors import Misconfigured
from schemas.settings import Settings

log = structlog.get_logger()
T = TypeVar("T")

# A file is replayed whole, and after a crash in the middle of it once more: small enough for that to be little.
_SEGMENT_BYTES = 4 * 1024 * 1024
_COMPLAIN_SECONDS = 10.0

# Kafka's late answer to hits that were spooled meanwhile: True when it has them after all.
Answer = asyncio.Future[bool]


@dataclass(slots=True)
class _OfferedFrames:
    frame: Frame
    answer: Answer | None
    done: asyncio.Future[bool]


@dataclass(slots=True)
class SpoolFile:
    """A file of the spool, and for frames that Kafka was still to answer for, by place, its answer."""

    segment: Segment
    answers: dict[int, Answer] = field(default_factory=dict)
    frames: int = 0


class Spool:
    """Takes frames, keeps them, gives the oldest file back for replay. Called on the loop; a thread does the disk."""

    def __init__(self, settings: Settings, metrics: IngestMetrics) -> None:
        self._folder = settings.data_dir / "spool"
        self._limit = settings.spool_mb * 1_000_000
        self._metrics = metrics
        self._files: list[SpoolFile] = []
        self._bytes = 0  # of the files; changed by the thread alone
        self._active: SpoolFile | None = None
        self._offered: list[_OfferedFrames] = []
        self._offered_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._complained_at = float("-inf")
        self._too_much = 0  # bytes that were refused last, for which there was no room
        self._disk_problem = ""
        self._thread = ThreadPoolExecutor(1, "spool")  # one, so that what touches the files is in order
        self.filled = asyncio.Event()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"SENDLENS_DATA_DIR: {self._folder} can't be used ({error.strerror})") from None
        metrics.watch_spool(lambda: self.bytes, lambda: self.hits, self._age)

    @property
    def bytes(self) -> int:
        """On disk, and about to be."""
        return self._bytes + self._offered_bytes

    @property
    def hits(self) -> int:
        return sum(stored.segment.hits for stored in list(self._files))

    async def problem(self) -> str:
        """Why it would take no hits now; empty when it would. A disk that has failed is tried."""
        if self.bytes + self._too_much > self._limit:
            return f"full: {self.bytes} bytes"
        if self._disk_problem:
            try:
                await self._on_disk(self._try_disk)
            except OSError as error:
                self._disk_problem = repr(error)
        return self._disk_problem

    def _try_disk(self) -> None:
        path = self._folder / "probe"
        path.write_bytes(b"\0" * 4096)
        path.unlink()
        self._disk_problem = ""

    def _age(self) -> float:
        oldest = min((stored.segment.oldest_at for stored in list(self._files) if stored.segment.hits), default=0.0)
        return max(0.0, time.time() - oldest) if oldest else 0.0

    def offer(self, frame: Frame, answer: Answer | None = None, moved: bool = False) -> asyncio.Future[bool]:
        """Have hits written; True once they are safe on disk, False when they are refused and not kept.

        `answer` tells later whether Kafka has them after all; then they are not replayed. `moved`: they were here
        before and leave their old place after this, so they always have room.
        """
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        size = size_of(frame)
        if not moved and self.bytes + size > self._limit:
            self._too_much = size
            self._refuse(frame, "full", f"the spool holds {self.bytes} bytes")
            done.set_result(False)
            return done
        self._offered.append(_OfferedFrames(frame, answer, done))
        self._offered_bytes += size
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return done

    async def _write(self) -> None:
        """Write what was offered; what is offered meanwhile shares the next write."""
        while self._offered:
            group, self._offered = self._offered, []
            size = sum(size_of(one.frame) for one in group)
            try:
                await self._on_disk(lambda group=group: self._append(group))  # type: ignore[misc]
                kept = True
            except OSError as error:
                kept = False
                self._disk_problem = repr(error)
                for one in group:
                    self._refuse(one.frame, "disk", repr(error))
            self._offered_bytes -= size
            if kept:
                self.filled.set()
            for one in group:
                if not one.done.done():
                    one.done.set_result(kept)
        self._writing = None

    def _append(self, group: list[_OfferedFrames]) -> None:
        stored = self._active
        if stored is None or stored.segment.size >= _SEGMENT_BYTES:
            stored = self._active = SpoolFile(Segment.create(self._folder))
            self._files.append(stored)
        size = stored.segment.size
        try:
            stored.segment.append([one.frame for one in group])
        except OSError:
            self._active = None  # what follows a failed write goes to another file
            if not size:
                stored.segment.remove()
                self._files.remove(stored)
            raise
        self._bytes += stored.segment.size - size
        for place, one in enumerate(group, stored.frames):
            if one.answer is not None:
                stored.answers[place] = one.answer
        stored.frames += len(group)

    async def adopt(self) -> None:
        """Take up the files of processes that are gone, oldest first."""
        adopted = await self._on_disk(self._adopt)
        if adopted:
            self.filled.set()
            log.info("took up a spool that was left", files=len(adopted), hits=sum(s.segment.hits for s in adopted))

    def _adopt(self) -> list[SpoolFile]:
        mine = {stored.segment.path for stored in self._files}
        adopted = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            found = Segment.adopt(path) if path not in mine else None
            if found is not None:
                segment, lost = found
                if lost:
                    self._metrics.spool_damaged.inc(lost)
                    log.warning("a spool file has bytes that are no whole frame", path=path.name, bytes=lost)
                adopted.append(SpoolFile(segment))
        self._files[:0] = adopted
        self._bytes += sum(stored.segment.size for stored in adopted)
        return adopted

    async def oldest(self) -> tuple[SpoolFile, list[Frame]] | None:
        """The oldest file and what it holds, in order; nothing more is written to it. None when the spool is empty."""

        def take() -> tuple[SpoolFile, list[Frame]] | None:
            if not self._files:
                return None
            stored = self._files[0]
            if stored is self._active:
                self._active = None
            return stored, stored.segment.read()[0]

        return await self._on_disk(take)

    async def remove(self, stored: SpoolFile) -> None:
        """Forget a file whose every hit Kafka has."""

        def forget() -> None:
            stored.segment.remove()
            self._files.remove(stored)
            self._bytes -= stored.segment.size

        await self._on_disk(forget)

    async def stop(self) -> None:
        """Finish what is being written, and leave the files to the next process."""
        if self._writing is not None:
            await self._writing
        await asyncio.to_thread(self._thread.shutdown)
        for stored in self._files:
            stored.segment.close()
        self._files.clear()

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _refuse(self, frame: Frame, reason: str, why: str) -> None:
        self._metrics.spool_refused.labels(reason).inc(frame.hits)
        if time.monotonic() - self._complained_at > _COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            log.error("hits are refused: Kafka is away and the spool takes no more", reason=reason, why=why)
