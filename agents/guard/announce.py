"""Announces why a campaign was paused: an annotation in Grafana, and an email to SENDLENS_NOTIFY_TO.

Nothing waits for an announcement or depends on it. Each event is announced once: its id is remembered here, Grafana is
queried for the annotation first, and the email's Message-ID is the event's id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from agents.guard.pause_email import PauseEmail
from agents.runtime.metrics import ANNOUNCEMENTS
from schemas.events import CampaignPaused, CampaignResumed

log = structlog.get_logger()

PAUSES = (1.0, 5.0, 30.0)  # seconds before it is tried again
_OLD = timedelta(hours=1)  # events that are read again, days later, are no news
_REMEMBERED = 1_000
_LONGEST_STOP = 3.0

Announcement = CampaignPaused | CampaignResumed


class Annotate(Protocol):
    """Puts a mark on Grafana's boards, once for an event's id. Blocks."""

    def __call__(self, event_id: str, at: datetime, text: str, tags: Sequence[str], /) -> None: ...


class Announcer:
    """Announces each event in background tasks, by the channels given. Call everything on the event loop."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        annotate: Annotate | None = None,
        email: PauseEmail | None = None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._clock = clock
        self._annotate = annotate
        self._email = email
        self._pauses = pauses
        self._said: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, event: Announcement) -> None:
        """Announce the event, unless it was announced before or is old. Returns immediately."""
        if event.id in self._said or self._clock() - event.at > _OLD:
            return
        self._said[event.id] = None
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        annotate, email = self._annotate, self._email
        if annotate is not None:
            said = "paused" if isinstance(event, CampaignPaused) else "resumed"
            tags = ["sendlens", said, f"campaign:{event.campaign}"]
            self._begin("grafana", lambda: asyncio.to_thread(annotate, event.id, event.at, _text(event), tags))
        if email is not None and isinstance(event, CampaignPaused) and event.reason == "bounces":
            told: set[str] = set()
            self._begin("email", lambda: email.send(event, _text(event), told))

    async def stop(self) -> None:
        """Wait briefly for announcements in flight, then cancel them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LONGEST_STOP)
            for task in late:
                task.cancel()

    def _begin(self, channel: str, say: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._insist(channel, say))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, channel: str, say: Callable[[], Awaitable[None]]) -> None:
        for pause in (*self._pauses, None):
            try:
                await say()
            except Exception as error:  # the library raises whatever it likes
                ANNOUNCEMENTS.labels(channel, "failed" if pause is None else "retried").inc()
                log.warning("a pause could not be announced", channel=channel, error=repr(error)[:200], again_in=pause)
                if pause is not None:
                    await asyncio.sleep(pause)
            else:
                ANNOUNCEMENTS.labels(channel, "said").inc()
                return


def _text(event: Announcement) -> str:
    if isinstance(event, CampaignResumed):
        return f"Campaign {event.campaign} was resumed"
    why = event.detail or {"bounces": "too many hard bounces", "operator": "by an operator"}[event.reason]
    return f"Campaign {event.campaign} was paused: {why}"
