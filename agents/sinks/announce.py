"""Says why a campaign was paused where people look: an annotation in Grafana, and an email to whoever wants one.

Nothing waits for it, and nothing depends on it. A pause is said once: what was said is remembered here, Grafana is
asked first, and the email's Message-ID is the event's id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote, urlsplit

import aiosmtplib
import structlog
from grafana_api.annotations import Annotations
from grafana_api.api import Api
from grafana_api.model import AnnotationObject, APIEndpoints, APIModel

from agents.metrics import ANNOUNCEMENTS
from schemas.events import CampaignPaused, CampaignResumed
from schemas.settings import Settings

log = structlog.get_logger()

PAUSES = (1.0, 5.0, 30.0)  # seconds before it is tried again
_OLD = timedelta(hours=1)  # events that are read again, days later, are no news
_REMEMBERED = 1_000
_TIMEOUT_SECONDS = 10.0
_LONGEST_STOP = 3.0

Said = CampaignPaused | CampaignResumed


class Announcer:
    """Announces events, each in tasks of its own. Call everything on the event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime], *, pauses: Sequence[float] = PAUSES) -> None:
        self._settings = settings
        self._clock = clock
        self._pauses = pauses
        self._said: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, event: Said) -> None:
        """Say it, unless it was said or is old. Returns at once."""
        if event.id in self._said or self._clock() - event.at > _OLD:
            return
        self._said[event.id] = None
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        if self._settings.grafana_url:
            self._begin("grafana", lambda: asyncio.to_thread(annotate, self._settings, event))
        if self._settings.notify_to and isinstance(event, CampaignPaused) and event.reason == "bounces":
            self._begin("email", lambda: notify(self._settings, event))

    async def stop(self) -> None:
        """Give what is being said a moment."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LONGEST_STOP)
            for task in late:
                task.cancel()

    def _begin(self, to: str, say: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._insist(to, say))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _insist(self, to: str, say: Callable[[], Awaitable[None]]) -> None:
        for pause in (*self._pauses, None):
            try:
                await say()
            except Exception as error:  # the library raises whatever it likes
                ANNOUNCEMENTS.labels(to, "failed" if pause is None else "retried").inc()
                log.warning("a pause could not be announced", to=to, error=repr(error)[:200], again_in=pause)
                if pause is not None:
                    await asyncio.sleep(pause)
            else:
                ANNOUNCEMENTS.labels(to, "said").inc()
                return


def annotate(settings: Settings, event: Said) -> None:
    """Put an annotation on every board (Grafana's HTTP API, Annotations), if it is not there yet."""
    model = APIModel(
        host=settings.grafana_url,
        token=settings.grafana_token,
        timeout=_TIMEOUT_SECONDS,
        retries=0,
        follow_redirects=False,
    )
    mark = f"event:{event.id}"
    there = Api(model).call_the_api(f"{APIEndpoints.ANNOTATIONS.value}?tags={quote(mark)}&limit=1")
    if not isinstance(there, list):
        raise RuntimeError(f"Grafana does not list annotations: {str(there)[:200]}")
    if there:
        return
    at = int(event.at.timestamp() * 1000)
    said = "paused" if isinstance(event, CampaignPaused) else "resumed"
    tags = ["sendlens", said, f"campaign:{event.campaign}", mark]
    Annotations(model).create_annotation(AnnotationObject(time=at, time_end=at, tags=tags, text=_text(event)))


async def notify(settings: Settings, event: CampaignPaused) -> None:
    """Send the email, through the mail server that campaigns leave by."""
    sender = settings.notify_from or f"sendlens@{settings.envelope_domain}"
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = settings.notify_to
    mail["Subject"] = f"Campaign {event.campaign} was paused"
    mail["Date"] = format_datetime(event.at)
    mail["Message-ID"] = f"<{event.id}@{settings.envelope_domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    resume = f"{settings.public_url}/v1/campaigns/{quote(event.campaign, safe='')}/resume"
    mail.set_content(
        f"{_text(event)}.\n\nNothing more of it is sent. When the list has been cleaned, resume it:\n\n"
        f"POST {resume}\n\nBounces are counted anew from then on.\n"
    )
    await aiosmtplib.send(
        mail,
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_user or None,
        password=settings.smtp_password if settings.smtp_user else None,
        use_tls=settings.smtp_tls == "tls",
        start_tls=settings.smtp_tls == "starttls",
        local_hostname=urlsplit(settings.public_url).hostname or "localhost",
        timeout=_TIMEOUT_SECONDS,
    )


def _text(event: Said) -> str:
    if isinstance(event, CampaignResumed):
        return f"Campaign {event.campaign} was resumed"
    why = event.detail or {"bounces": "too many hard bounces", "operator": "by an operator"}[event.reason]
    return f"Campaign {event.campaign} was paused: {why}"
