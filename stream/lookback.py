"""Reads the records of a partition before a given one: how a judge that has just started knows the earlier clicks."""

from __future__ import annotations

from schemas.settings import Settings
from schemas.topics import Topic
from stream.records import Record
from stream.tail import TailReader

_FIRST_STEP = 256  # records back at first; four times as many each time that is not enough


def records_before(settings: Settings, topic: Topic, partition: int, offset: int, since: float) -> list[Record]:
    """The records of a partition before `offset` that were written at `since` (epoch seconds) or later, in order.

    Steps back by offset, because a lookup by time is no use on the broker in memory. Raises Retry when the broker does
    not answer.
    """
    end = {partition: offset}
    with TailReader(settings, topic) as tail:
        beginning = tail.starts()[partition]
        start, step = offset, _FIRST_STEP
        while start > beginning:
            start = max(beginning, offset - step)
            first = next(tail.read({partition: start}, end), None)
            if first is None or first.written_at < since:
                break
            step *= 4
        if start >= offset:
            return []
        return [record for record in tail.read({partition: start}, end) if record.written_at >= since]
