"""Asks once more for records that were not handed on after a partition was resumed: a change to Faust's consumer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from agents.runtime.metrics import PASSED_OVER

log = structlog.get_logger()


class PassedOver(Consumer):
    """What comes first after a partition was resumed is what was asked for, and nothing in between is left out.

    When workers die and join while records come, now and then some of them are fetched and never handed on. Faust takes
    the gap in the offsets for what compaction leaves, and commits past it. So a gap is asked for again: a record is
    handled twice at the worst, which changes nothing. What is still missing then is not there: a gap of compaction, or
    records that have expired. Once for each partition and rebalance, for a compacted topic has many gaps.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._following: dict[TP, int] = {}  # the offset that follows what was handed on
        self._missed: dict[TP, int] = {}  # the first record that was not, until it is acknowledged or known not to be
        self._asked_again: set[TP] = set()

    async def perform_seek(self) -> None:
        await super().perform_seek()
        self._missed.clear()
        self._asked_again.clear()
        self._following = {tp: at for tp, at in self._read_offset.items() if at is not None}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        for tp in revoked:
            self._following.pop(tp, None)
            self._missed.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's own
        for tp in self._missed.keys() - self._asked_again:
            missed = self._missed[tp]
            self._asked_again.add(tp)
            log.warning(
                "records were passed over, asking for them again", topic=tp.topic, at=f"{tp.partition}/{missed}"
            )
            PASSED_OVER.inc()
            self._following[tp] = self._read_offset[tp] = missed
            with suppress(IllegalStateError):  # taken from us meanwhile
                await self.seek_wait({tp: missed})
        return await super()._getmany(active_partitions, timeout)

    def _to_message(self, tp: TP, record: Any) -> Any:
        following = self._following.get(tp)
        if following is not None and record.offset > following:
            if tp not in self._asked_again:
                self._missed.setdefault(tp, following)
            elif self._missed.get(tp) == following:
                del self._missed[tp]
        self._following[tp] = record.offset + 1
        return super()._to_message(tp, record)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp not in self._missed:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        missed = self._missed.get(tp)
        if missed is not None:
            # What was committed meanwhile is acknowledged as old, which leaves no trace.
            if max(missed, self._committed_offset[tp] or 0) not in self._acked_index[tp]:
                return None
            del self._missed[tp]
        return super()._new_offset(tp)
