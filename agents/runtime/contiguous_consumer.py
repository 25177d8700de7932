"""Commits no offset before all below it are handled, and reads again what was lost: a change to Faust's consumer."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from time import monotonic
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from mode import Service

from agents.runtime.metrics import PASSED_OVER

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_SEEK_PAUSE = 0.2
# Seconds that the next offset may be neither acknowledged nor in flight. In flight it may be as long as it likes.
_FIRST_PATIENCE = 3.0
_LONGEST_PATIENCE = 60.0


@dataclass(slots=True)
class PartitionProgress:
    """How far a partition has come since it was sought to where it was committed.

    Below `done` all is acknowledged, or Kafka has no record. `fetched` follows the last record that was fetched. `gaps`
    are where Kafka has no records, from and until. `came_instead` is what came where `fetched` was to come, so that
    this is asked for again. Below `again_until` all was fetched before.
    """

    sought: int
    committed: int | None
    done: int
    fetched: int
    gaps: dict[int, int] = field(default_factory=dict)
    came_instead: int | None = None
    again_until: int = 0
    stalled_at: int = -1
    stalled_since: float = 0.0
    missing: bool = False
    patience: float = _FIRST_PATIENCE


class ContiguousConsumer(Consumer):
    """A partition's committed offset passes an offset when its record was acknowledged, or when Kafka has none there.

    Faust takes every gap in the offsets that it reads for what compaction leaves, and commits past it. But it loses
    records itself when one rebalance follows another: it seeks while records are being handed on, and then empties its
    streams. Here

    - the task that hands records on does the seeking, after the streams were emptied, and nothing flows between the
      loss of partitions and their assignment;
    - a gap within a fetch is Kafka's own. One between two fetches is asked for once more, and what is missing then too
      is not there;
    - a partition whose next offset is not in flight anywhere for some seconds is read again from there, however its
      record was lost. What was not acknowledged is handled twice at the worst, which changes nothing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._to_seek = True
        self._between_assignments = False
        self._progress: dict[TP, PartitionProgress] = {}
        self._seek_back: dict[TP, int] = {}
        self._handing_on: Mapping[TP, Any] = {}
        super().__init__(*args, **kwargs)

    @abstractmethod
    def in_flight(self) -> Mapping[TP, int]:
        """The lowest offset that the stage has in flight, of each partition of which it has any."""

    async def perform_seek(self) -> None:
        """Have the partitions sought before the next fetch. Faust waits 90 s for a seek and then never resumes."""
        self._to_seek = True

    def resume_flow(self) -> None:
        # Faust has just emptied its streams, and does this also at the end of a rebalance that another has overtaken.
        self._to_seek = True
        if not self._between_assignments:
            super().resume_flow()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._between_assignments = True
        self.stop_flow()  # Faust does so only where something was assigned
        for tp in revoked:
            self._progress.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._between_assignments = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's own
        self._handing_on = {}
        if self._to_seek:
            await self._seek_to_where_it_was_committed()
        elif self._seek_back:
            await self._seek_to_what_is_missing()
        if self._to_seek or not active_partitions:  # aiokafka takes none for all
            return {}
        try:
            fetched = await super()._getmany(active_partitions, timeout)
        except BaseException:
            self._to_seek = True  # what was fetched is lost with it
            raise
        if not self._to_seek:
            self._handing_on = {tp: wanted for tp, batch in fetched.items() if (wanted := self._wanted(tp, batch))}
        return self._handing_on

    async def _seek_to_where_it_was_committed(self) -> None:
        """Seek all partitions, and forget what was known of them. Leaves `_to_seek` where it has to be done again."""
        self._to_seek = False
        try:
            committed = {ensure_TP(tp): at for tp, at in (await self.seek_to_committed()).items()}
            first = await self._seek_to_beginning([tp for tp, at in committed.items() if not at])
        except (IllegalStateError, AssertionError, KafkaTimeoutError, TimeoutError):
            self._to_seek = True  # other partitions are assigned, or none, or nobody answers
        except KafkaError as error:
            if not error.retriable:
                raise
            self._to_seek = True
        if self._to_seek:
            await self.sleep(_SEEK_PAUSE)
            return
        self._acked.clear()
        self._acked_index.clear()
        self._seek_back.clear()
        self._progress = {}
        for tp, at in committed.items():
            begin = at or first[tp]
            self._progress[tp] = PartitionProgress(begin, at, begin, begin)
            self._committed_offset[tp] = at
            self._read_offset[tp] = begin - 1

    async def _seek_to_beginning(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Seek partitions in which nothing was committed; aiokafka leaves them where they were read until."""
        first = (
            {ensure_TP(tp): at for tp, at in (await self.earliest_offsets(*partitions)).items()} if partitions else {}
        )
        if first:
            await self.seek_wait(first)
        return first

    async def _seek_to_what_is_missing(self) -> None:
        back, self._seek_back = self._seek_back, {}
        for tp, at in back.items():
            progress = self._progress.get(tp)
            if progress is None:
                continue
            try:
                await self.seek_wait({tp: at})
            except (IllegalStateError, TimeoutError):  # taken from us meanwhile
                self._to_seek = True
                return
            if at != progress.fetched:
                progress.came_instead = None  # which was asked for from elsewhere
            progress.again_until = max(progress.again_until, progress.fetched)
            progress.fetched = at
            self._read_offset[tp] = at - 1

    def _wanted(self, tp: TP, batch: list[Any]) -> list[Any]:
        """What of a fetch is to be handed on: none where records before it are missing that were not asked for yet."""
        progress = self._progress.get(tp)
        if progress is None:  # assigned since the last seek
            self._to_seek = True
            return []
        first, last = batch[0].offset, batch[-1].offset
        if first > progress.fetched and progress.came_instead is None:
            progress.came_instead = first
            self._seek_back.setdefault(tp, progress.fetched)
            return []
        if progress.came_instead is not None and first < progress.came_instead:
            self._warn(tp, first)
        progress.came_instead = None
        if first > progress.fetched:
            progress.gaps[progress.fetched] = first
        if last - first + 1 != len(batch):
            offsets = [record.offset for record in batch]
            progress.gaps.update({one + 1: next_one for one, next_one in pairwise(offsets) if next_one > one + 1})
        progress.fetched = last + 1
        if first >= progress.again_until:
            return batch
        acknowledged = self._acked_index[tp]
        return [record for record in batch if record.offset >= progress.done and record.offset not in acknowledged]

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Faust's own idea of a gap counts for nothing, and would be kept for ever."""

    def _new_offset(self, tp: TP) -> int | None:
        progress = self._progress.get(tp)
        if progress is None:
            return None
        self._acked[tp].clear()  # the index holds the same
        self._advance(tp, progress)
        return progress.done if progress.done > progress.sought else None

    def _advance(self, tp: TP, progress: PartitionProgress) -> None:
        """Move `done` on as far as all is acknowledged or was never there."""
        acknowledged, gaps = self._acked_index[tp], progress.gaps
        # A commit that was on its way when the partition was sought: what it covers is acknowledged as old.
        done = max(progress.done, self._committed_offset[tp] or 0)
        while True:
            if done in acknowledged:
                acknowledged.remove(done)
                done += 1
            elif done in gaps:
                done = gaps.pop(done)
            else:
                break
        progress.done = done
        if max(len(acknowledged), len(gaps)) > max(0, progress.fetched - done):  # what was acknowledged twice
            acknowledged.intersection_update([one for one in acknowledged if one >= done])
            progress.gaps = {one: until for one, until in gaps.items() if one >= done}

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        committed = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed:
            # Faust notes the offsets also when the broker refused them, perhaps after the partition was sought again:
            # acknowledgements of what comes again would be taken for old ones.
            for tp in offsets:
                progress = self._progress.get(tp)
                self._committed_offset[tp] = progress.committed if progress is not None else None
        return committed

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(_LOOK_SECONDS)
            self._look(monotonic())

    def _look(self, now: float) -> None:
        """Have partitions read again whose next offset is lost. Two looks must miss it, as it may be between places."""
        if self._to_seek or not self.flow_active:
            return
        stalled = [(tp, progress) for tp, progress in self._progress.items() if self._is_stalled(tp, progress, now)]
        lowest = self._lowest_in_flight() if stalled else {}
        for tp, progress in stalled:
            if lowest.get(tp, math.inf) <= progress.done:
                progress.stalled_since, progress.missing = now, False
            elif not progress.missing:
                progress.missing = True
            else:
                progress.stalled_at, progress.patience = -1, min(2 * progress.patience, _LONGEST_PATIENCE)
                self._seek_back[tp] = progress.done
                self._warn(tp, progress.done)

    def _is_stalled(self, tp: TP, progress: PartitionProgress, now: float) -> bool:
        """Whether something was fetched that should have been acknowledged by now."""
        self._advance(tp, progress)
        if progress.done >= progress.fetched or tp in self._seek_back:
            progress.stalled_at = -1
        elif progress.stalled_at != progress.done:
            progress.stalled_at, progress.stalled_since, progress.missing = progress.done, now, False
        else:
            return now - progress.stalled_since >= progress.patience
        return False

    def _lowest_in_flight(self) -> Mapping[TP, int]:
        """The lowest offset of each partition that is with the stage, in Faust's streams, or not handed on yet."""
        topics: Any = self.app.topics  # Faust and asyncio have no public way to see what waits in a stream
        waiting = [event.message for channel in topics for event in channel.queue._queue]
        handing_on = [
            (tp, record.offset)
            for tp, batch in self._handing_on.items()
            for record in batch
            if record.offset > (self._read_offset[tp] or 0)
        ]
        lowest = dict(self.in_flight())
        for tp, offset in chain(((message.tp, message.offset) for message in waiting), handing_on):
            lowest[tp] = min(offset, lowest.get(tp, offset))
        return lowest

    def _warn(self, tp: TP, offset: int) -> None:
        log.warning("records were passed over, asking for them again", topic=tp.topic, at=f"{tp.partition}/{offset}")
        PASSED_OVER.inc()
