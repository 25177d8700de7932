"""Emails of Sendlens' own to its operators: pauses, reports. They leave by an account that sends campaigns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

from agents.transport.dkim import signer
from agents.transport.smtp import SmtpPool
from decisions.sending.answers import SmtpRefused
from schemas.errors import Misconfigured, Retry
from schemas.senders import Account, Senders, Smtp
from schemas.settings import Settings

_TIMEOUT_SECONDS = 10.0


class OperatorMail:
    """Delivers emails over one connection. `sender` is the From address that its server lets through."""

    def __init__(self, settings: Settings, senders: Senders, campaign_sender: str) -> None:
        account, smtp, self.sender = _leaves_by(settings, senders, campaign_sender)
        self._sign = signer(account)
        self._server = f"{smtp.host}:{smtp.port}"
        self._pool = SmtpPool(
            smtp,
            clock=lambda: datetime.now(UTC),
            connections=1,
            credential=lambda: senders.credential(smtp),
            timeout=_TIMEOUT_SECONDS,
            verdict=_TIMEOUT_SECONDS,
        )

    async def deliver(self, to: str, mail: EmailMessage) -> None:
        """Hand one email over. Raises Retry when the server can't be reached or refuses it."""
        message = mail.as_bytes(policy=SMTP)
        answer = await self._pool.deliver(self.sender, to, self._sign(message) if self._sign else message)
        if isinstance(answer, SmtpRefused):
            raise Retry(f"{self._server} does not take the email: {answer.diagnostic}")

    async def close(self) -> None:
        await self._pool.close()


@asynccontextmanager
async def operator_mail(settings: Settings, senders: Senders, campaign_sender: str = "") -> AsyncIterator[OperatorMail]:
    """Mail that leaves by the account of SENDLENS_NOTIFY_FROM, of this campaign's sender, or the first that sends.

    Raises Misconfigured when none sends.
    """
    mail = OperatorMail(settings, senders, campaign_sender)
    try:
        yield mail
    finally:
        await mail.close()


def _leaves_by(settings: Settings, senders: Senders, campaign_sender: str) -> tuple[Account, Smtp, str]:
    """The account, its server, and the From address that this server lets through."""
    wanted = settings.notify_from
    for account in [senders.sending(wanted), senders.sending(campaign_sender), *senders.accounts]:
        if account is not None and account.smtp is not None:
            return account, account.smtp, account.address or wanted or f"sendlens@{settings.envelope_domain}"
    raise Misconfigured("no account of SENDLENS_SENDERS sends: give one an [account.smtp]")
