"""The email that notifies an operator of a pause. It is sent by the account that sends the campaign's own emails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import quote

from agents.transport.dkim import signer
from agents.transport.smtp import SmtpPool
from decisions.sending.answers import SmtpRefused
from schemas.errors import Misconfigured, Retry
from schemas.events import CampaignPaused
from schemas.senders import Account, Senders, Smtp
from schemas.settings import Settings

_TIMEOUT_SECONDS = 10.0


class PauseEmail:
    """Emails about pauses to SENDLENS_NOTIFY_TO. `sender_of` gives the From address of a campaign's emails, or ''."""

    def __init__(self, settings: Settings, senders: Senders, sender_of: Callable[[str], Awaitable[str]]) -> None:
        self._settings = settings
        self._senders = senders
        self._sender_of = sender_of

    async def send(self, event: CampaignPaused, why: str, told: set[str]) -> None:
        """Email every address that is not in `told`, and add it there. Raises Retry to email the others later."""
        account, smtp, sender = self._leaves_by(await self._sender_of(event.campaign))
        sign = signer(account)
        pool = SmtpPool(
            smtp,
            clock=lambda: datetime.now(UTC),
            connections=1,
            credential=lambda: self._senders.credential(smtp),
            timeout=_TIMEOUT_SECONDS,
            verdict=_TIMEOUT_SECONDS,
        )
        message = self._written(event, why, sender).as_bytes(policy=SMTP)
        refused = ""
        try:
            for to in filter(None, map(str.strip, self._settings.notify_to.split(","))):
                if to in told:
                    continue
                answer = await pool.deliver(sender, to, sign(message) if sign else message)
                if isinstance(answer, SmtpRefused):
                    refused = answer.diagnostic
                else:
                    told.add(to)
        finally:
            await pool.close()
        if refused:
            raise Retry(f"{smtp.host}:{smtp.port} does not take the email: {refused}")

    def _leaves_by(self, campaign_sender: str) -> tuple[Account, Smtp, str]:
        """The account, its server, and the From address that this server lets through."""
        wanted = self._settings.notify_from
        candidates = [self._senders.sending(wanted), self._senders.sending(campaign_sender), *self._senders.accounts]
        for account in candidates:
            if account is not None and account.smtp is not None:
                own = account.address or wanted or f"sendlens@{self._settings.envelope_domain}"
                return account, account.smtp, own
        raise Misconfigured("no account of SENDLENS_SENDERS sends: give one an [account.smtp]")

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
