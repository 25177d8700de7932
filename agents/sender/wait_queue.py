"""The emails that wait for their next attempt: known by their heads, read whole from the topic only when they are due.

A worker knows all that wait, and performs those whose lead's partition of `sends` it owns: one that comes to own it
goes on where the other ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import msgspec
import structlog

from schemas.events import Send, to_ms
from schemas.settings import Settings
from schemas.state.attempts import Wait, Waiting, WaitState
from schemas.topics import RETRIES, SENDS
from stream.state import StateTopic
from stream.tail import TailReader

log = structlog.get_logger()

_MAX_BYTES = 16 * 1024 * 1024


def waits_view(settings: Settings) -> StateTopic[Wait]:
    """The heads of all emails that wait."""
    return StateTopic(
        settings,
        RETRIES,
        Wait,
        key=lambda wait: wait.delivery_id,
        over=lambda wait: wait.state == "settled",
        placed=True,
    )


class WaitQueue:
    """Which emails are due, and their requests. `view` may be read from any thread, the rest belongs to one loop."""

    def __init__(self, settings: Settings, view: StateTopic[Wait]) -> None:
        self.view = view
        self._settings = settings
        self._tail = TailReader(settings, RETRIES, fetch_bytes=_MAX_BYTES)
        self._decode = msgspec.json.Decoder(Waiting).decode

    def due(self, now: datetime, partitions: Collection[int], room: Callable[[Wait], bool]) -> list[Wait]:
        """Those that are due now, of these partitions of `sends`, longest due first, as far as `room` says yes to each
        in turn."""
        found = [
            wait
            for wait in self.view
            if wait.due_at <= now
            and wait.state != "unanswered"
            and self._settings.partition_of(SENDS, wait.lead) in partitions
            and self.view.place(wait.delivery_id) is not None
        ]
        return [wait for wait in sorted(found, key=lambda wait: wait.due_at) if room(wait)]

    async def requests(self, waits: Sequence[Wait]) -> list[tuple[Wait, Send]]:
        """The requests of these, of those that still wait. Raises Retry while the broker does not answer."""
        return await asyncio.to_thread(self.requests_now, waits)

    def requests_now(self, waits: Sequence[Wait]) -> list[tuple[Wait, Send]]:
        """As `requests`, for those who may block."""
        return [(wait, send) for wait in waits if (send := self._read(wait)) is not None]

    def count(self, state: str) -> int:
        """How many wait in this state."""
        return sum(wait.state == state for wait in self.view)

    def close(self) -> None:
        self._tail.close()

    def _read(self, wait: Wait) -> Send | None:
        place = self.view.place(wait.delivery_id)
        if place is None:
            return None
        partition, offset = place
        # None stands there when the topic was compacted meanwhile: then another head is on its way here.
        record = next(self._tail.read({partition: offset}, {partition: offset + 1}), None)
        return self._decode(record.value).send if record is not None else None


def waiting_record(
    send: Send,
    sender: str,
    state: WaitState,
    *,
    attempt: int,
    first_at: datetime,
    due_at: datetime,
    now: datetime,
    message_id: str = "",
) -> Waiting:
    """The record of an email that waits; without its request when it is settled. Times to the millisecond."""
    return Waiting(
        delivery_id=send.delivery_id,
        request_id=send.request_id,
        campaign=send.campaign,
        step=send.step,
        lead=send.lead,
        sender=sender,
        state=state,
        attempt=attempt,
        first_at=to_ms(first_at),
        due_at=to_ms(due_at),
        at=to_ms(now),
        message_id=message_id,
        send=None if state == "settled" else send,
    )
