"""The email that notifies an operator of a pause. It is sent by the account that sends the campaign's own emails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import quote

from agents.transport.operator_mail import operator_mail
from schemas.errors import Retry
from schemas.events import CampaignPaused
from schemas.senders import Senders
from schemas.settings import Settings


class PauseEmail:
    """Emails about pauses to SENDLENS_NOTIFY_TO. `sender_of` gives the From address of a campaign's emails, or ''."""

    def __init__(self, settings: Settings, senders: Senders, sender_of: Callable[[str], Awaitable[str]]) -> None:
        self._settings = settings
        self._senders = senders
        self._sender_of = sender_of

    async def send(self, event: CampaignPaused, why: str, told: set[str]) -> None:
        """Email every address that is not in `told`, and add it there. Raises Retry to email the others later."""
        refused: Retry | None = None
        async with operator_mail(self._settings, self._senders, await self._sender_of(event.campaign)) as outgoing:
            mail = self._written(event, why, outgoing.sender)
            for to in filter(None, map(str.strip, self._settings.notify_to.split(","))):
                if to in told:
                    continue
                try:
                    await outgoing.deliver(to, mail)
                    told.add(to)
                except Retry as error:
                    refused = error
        if refused is not None:
            raise refused

    def _written(self, event: CampaignPaused, why: str, sender: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = self._settings.notify_to
        mail["Subject"] = f"Campaign {event.campaign} was paused"
        mail["Date"] = format_datetime(event.at)
        mail["Message-ID"] = f"<{event.id}@{self._settings.envelope_domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        resume = f"{self._settings.public_url}/v1/campaigns/{quote(event.campaign, safe='')}/resume"
        mail.set_content(
            f"{why}.\n\nNothing more of it is sent. When the list has been cleaned, resume it:\n\n"
            f"POST {resume}\n\nBounces are counted anew from then on.\n"
        )
        return mail
