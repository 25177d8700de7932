"""Puts emails to a mail server over a few connections that stay open.

An answer is a value: Accepted or Refused. No answer is raised: Retry when the server can't be reached, Dropped when it
went silent in the middle of an email.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import datetime

import aiosmtplib
import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from agents.decisions.answers import Accepted, Refused
from agents.decisions.refusal import Stage, enhanced_status
from schemas.errors import Retry
from schemas.settings import Settings

log = structlog.get_logger()

TIMEOUT_SECONDS = 60.0
MAX_DIAGNOSTIC = 500


class Dropped(Retry):
    """The server was reached but gave no answer to this email. After `stage` data it may even have taken it."""

    def __init__(self, why: str, stage: Stage, started_at: datetime) -> None:
        super().__init__(why)
        self.stage = stage
        self.started_at = started_at


class SmtpPool:
    """At most `settings.smtp_connections` connections to one mail server, opened when needed and used again."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        timeout: float = TIMEOUT_SECONDS,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._timeout = timeout
        self._tls_context = tls_context
        self._free = asyncio.Semaphore(settings.smtp_connections)
        self._idle: list[SMTP] = []
        self._local_hostname: str | None = None
        self.trouble: str | None = None  # why the server could not be reached last time; None when it could

    async def deliver(self, envelope_from: str, envelope_to: str, message: bytes) -> Accepted | Refused:
        """Put one email to the server: one transaction, or a second one if the first found a stale connection.

        `message` has CR LF line ends. Raises Retry or Dropped, see above.
        """
        async with self._free:
            while self._idle:
                client = self._idle.pop()
                if client.is_connected:
                    outcome = await self._transaction(client, envelope_from, envelope_to, message, fresh=False)
                    if outcome is not None:
                        return outcome
            client = await self._connect()
            outcome = await self._transaction(client, envelope_from, envelope_to, message, fresh=True)
            if outcome is None:
                raise AssertionError("a fresh connection is never stale")
            return outcome

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            client = self._idle.pop()
            with contextlib.suppress(SMTPException, OSError):
                await client.quit(timeout=1.0)
            client.close()

    async def _connect(self) -> SMTP:
        settings = self._settings
        if self._local_hostname is None:
            self._local_hostname = await asyncio.to_thread(socket.getfqdn)
        client = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user or None,
            password=settings.smtp_password if settings.smtp_user else None,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls_context,
            local_hostname=self._local_hostname,
            timeout=self._timeout,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except aiosmtplib.SMTPAuthenticationError as error:
            raise self._unreachable(client, f"login refused, see SENDLENS_SMTP_USER and _PASSWORD: {error}") from None
        except (SMTPException, OSError, ValueError) as error:
            raise self._unreachable(client, str(error)) from None
        self.trouble = None
        return client

    def _unreachable(self, client: SMTP, why: str) -> Retry:
        client.close()
        self.trouble = f"{self._settings.smtp_host}:{self._settings.smtp_port}: {_clean(why)}"
        return Retry(self.trouble)

    async def _transaction(
        self, client: SMTP, envelope_from: str, envelope_to: str, message: bytes, *, fresh: bool
    ) -> Accepted | Refused | None:
        """One MAIL, RCPT, DATA. None when a connection that was used before turns out stale: nothing has been said."""
        started_at = self._clock()
        stage: Stage = "mail"
        try:
            options = [f"SIZE={len(message)}"] if client.supports_extension("size") else []
            await client.mail(envelope_from, options=options)
            stage = "rcpt"
            await client.rcpt(envelope_to)
            stage = "data"
            response = await client.data(message)
            at = self._clock()
        except SMTPResponseException as error:
            at = self._clock()
            text = _clean(error.message)
            if stage == "mail" and error.code == 421 and not fresh:
                client.close()
                return None
            if stage == "mail" and error.code == 530:  # it wants a login or TLS first (RFC 4954, 3207): our settings
                raise self._unreachable(client, f"see SENDLENS_SMTP_TLS and _USER: {error.code} {text}") from None
            if not 400 <= error.code <= 599:
                client.close()
                raise Dropped(f"no SMTP reply: {text}", stage, started_at) from None
            await self._reset(client, closing=error.code == 421)
            return Refused(
                started_at, at, error.code >= 500, error.code, enhanced_status(error.code, text), text, stage
            )
        except (SMTPException, OSError) as error:
            client.close()
            if stage == "mail" and not fresh:
                return None
            raise Dropped(_clean(str(error)) or type(error).__name__, stage, started_at) from None
        except BaseException:
            client.close()  # cancelled in the middle: the connection is in no known state
            raise
        self._idle.append(client)
        return Accepted(started_at, at, _clean(response.message))

    async def _reset(self, client: SMTP, *, closing: bool) -> None:
        """Make the connection fit for the next email, or drop it."""
        try:
            if closing or not client.is_connected:
                raise aiosmtplib.SMTPServerDisconnected("closing")
            await client.rset()
        except (SMTPException, OSError):
            client.close()
        except BaseException:
            client.close()
            raise
        else:
            self._idle.append(client)


def _clean(text: str) -> str:
    """A reply as one line that any JSON encoder takes."""
    return " ".join(text.encode("utf-8", "replace").decode().split())[:MAX_DIAGNOSTIC]
