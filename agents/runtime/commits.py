"""A commit refused late leaves a partition where it was resumed: a change to Faust's consumer, made in wiring.py."""

from __future__ import annotations

from collections.abc import Mapping

from faust.transport.consumer import Consumer
from faust.types import TP


class LateRefusals(Consumer):
    """After a refused commit a partition counts as committed up to where it was resumed while the commit waited.

    Faust notes the offsets of a commit also when the broker refused it. When the partitions were assigned again
    meanwhile, that note replaces where the seek has resumed: the records in between come again, their acknowledgements
    are taken for old ones, and a partition to which nothing more is written keeps its lag for ever.
    """

    _rebalanced = 0  # how often partitions were taken or resumed
    _resumed: Mapping[TP, int | None]

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._rebalanced += 1
        self._resumed = {}
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        await super().perform_seek()
        self._rebalanced += 1
        self._resumed = {tp: self._committed_offset.get(tp) for tp in self.assignment()}

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        before = self._rebalanced
        committed = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed and self._rebalanced != before:  # nothing ran between Faust's note and here
            self._committed_offset.update({tp: self._resumed.get(tp) for tp in offsets})
        return committed
