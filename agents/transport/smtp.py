"""The SMTP transport: hands emails to one account's mail server over a few connections that stay open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

import aiosmtplib
import structlog
from aiosmtplib import SMTP, SMTPException

from agents.transport.dialogue import Dialogue, NoReply, Reply
from agents.transport.transport import ConnectionDropped, NotPrepared
from decisions.mail.bounce.category import Stage
from decisions.mail.bounce.codes import enhanced_status
from decisions.sending.answers import SmtpAccepted, SmtpRefused
from schemas.certificates import with_advice
from schemas.errors import Misconfigured, Retry
from schemas.senders import Credential, Smtp
from schemas.text import one_line

log = structlog.get_logger()

TIMEOUT_SECONDS = 60.0
# RFC 5321, 4.5.3.2.6: a server that was given a whole email is granted ten minutes for its answer.
VERDICT_SECONDS = 600.0
MAX_DIAGNOSTIC = 500


def no_login() -> None:
    """The credential of a server without login."""


class SmtpPool:
    """At most `connections` connections to one mail server, opened when needed and used again.

    `credential` is asked at each login, in a thread of its own: it may renew an access token. `verdict` is how long the
    server may take to answer a whole email, in seconds.
    """

    def __init__(
        self,
        server: Smtp,
        *,
        clock: Callable[[], datetime],
        connections: int = 4,
        credential: Callable[[], Credential | None] = no_login,
        timeout: float = TIMEOUT_SECONDS,
        verdict: float = VERDICT_SECONDS,
    ) -> None:
        self._server = server
        self._clock = clock
        self._credential = credential
        self._timeout = timeout
        self._verdict = verdict
        self._free = asyncio.Semaphore(connections)
        self._idle: list[Dialogue] = []
        self._local_hostname: str | None = None
        self.trouble: str | None = None  # why the server could not be reached last time; None when it could

    async def deliver(
        self,
        envelope_from: str,
        envelope_to: str,
        message: bytes,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> SmtpAccepted | SmtpRefused:
        """Put one email to the server: one transaction, or a second one if the first found a stale connection.

        `message` has CR LF line ends. `prepare` is begun when the transaction is, and the content goes out only after
        it has returned; what it raises is raised as NotPrepared. Raises Retry or ConnectionDropped, see above.
        """
        async with self._free:
            transaction = _Transaction(self, envelope_from, envelope_to, message, prepare)
            try:
                while self._idle:
                    dialogue = self._idle.pop()
                    if dialogue.is_open and (answer := await transaction.over(dialogue, fresh=False)) is not None:
                        return answer
                answer = await transaction.over(await self._connect(), fresh=True)
                if answer is None:
                    raise AssertionError("a fresh connection is never stale")
                return answer
            finally:
                await transaction.end()

    async def close(self) -> None:
        """Say goodbye on every idle connection."""
        while self._idle:
            dialogue = self._idle.pop()
            with contextlib.suppress(NoReply):
                dialogue.say("QUIT")
                await dialogue.reply(1.0)
            dialogue.close()

    async def _connect(self) -> Dialogue:
        server = self._server
        if self._local_hostname is None:
            self._local_hostname = await asyncio.to_thread(socket.getfqdn)
        try:
            context = None if server.tls == "none" else await asyncio.to_thread(server.tls_context)
            credential = await asyncio.to_thread(self._credential)
        except (Misconfigured, Retry) as error:
            raise self.unreachable(str(error)) from None
        client = SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=context,
            local_hostname=self._local_hostname,
            timeout=self._timeout,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            await _log_in(client, credential)
        except aiosmtplib.SMTPAuthenticationError as error:
            raise self.unreachable(f"login refused, see {server.variable}: {error}", client) from None
        except (SMTPException, OSError, ValueError, Misconfigured) as error:
            raise self.unreachable(with_advice(error), client) from None
        except BaseException:
            client.close()
            raise
        self.trouble = None
        return Dialogue(
            cast(asyncio.Transport, client.transport),
            extensions=frozenset(name for name in ("size", "pipelining") if client.supports_extension(name)),
        )

    def unreachable(self, why: str, connection: SMTP | Dialogue | None = None) -> Retry:
        if connection is not None:
            connection.close()
        self.trouble = f"{self._server.host}:{self._server.port}: {_clean(why)}"
        return Retry(self.trouble)


class _Transaction:
    """One email on its way: MAIL, RCPT and DATA, in one go where the server takes that."""

    def __init__(
        self,
        pool: SmtpPool,
        envelope_from: str,
        envelope_to: str,
        message: bytes,
        prepare: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._pool = pool
        self._from = envelope_from
        self._to = envelope_to
        self._message = message
        self._prepare = prepare
        self._prepared: asyncio.Future[None] | None = None
        self._stage: Stage = "mail"
        self._whole = False

    async def over(self, dialogue: Dialogue, *, fresh: bool) -> SmtpAccepted | SmtpRefused | None:
        """One try. None when a connection that was used before turns out stale: nothing has been said."""
        started_at = self._pool._clock()
        self._stage = "mail"
        if self._prepare is not None and self._prepared is None:
            self._prepared = asyncio.ensure_future(self._prepare())
        try:
            reply = await self._talk(dialogue)
            at = self._pool._clock()
            text = _clean(reply.text)
            if self._whole and 200 <= reply.code < 300:
                self._pool._idle.append(dialogue)
                return SmtpAccepted(started_at, at, text)
            if self._stage == "mail" and reply.code == 421 and not fresh:
                dialogue.close()
                return None
            if self._stage == "mail" and reply.code == 530:  # it wants a login or TLS first (RFC 4954, 3207)
                raise self._pool.unreachable(f"it wants a login or TLS first: {reply.code} {text}", dialogue)
            if not 400 <= reply.code <= 599:
                raise NoReply(f"no SMTP reply: {reply.code} {text}")
            await self._make_fit(dialogue, reply)
        except NoReply as error:
            dialogue.close()
            if self._stage == "mail" and not fresh:
                return None
            raise ConnectionDropped(_clean(str(error)), self._stage, started_at, whole=self._whole) from None
        except BaseException:
            dialogue.close()  # cancelled in the middle: the connection is in no known state
            raise
        status = enhanced_status(reply.code, text)
        return SmtpRefused(started_at, at, reply.code >= 500, reply.code, status, text, self._stage)

    async def end(self) -> None:
        """Return when `prepare` has, whatever became of the email."""
        if self._prepared is not None and not self._prepared.done():
            await asyncio.wait([self._prepared])
        if self._prepared is not None and not self._prepared.cancelled():
            self._prepared.exception()

    async def _talk(self, dialogue: Dialogue) -> Reply:
        """The reply that decides: the first refusal, or the answer to the whole email. Raises NoReply, NotPrepared."""
        refusal = await self._envelope(dialogue)
        if refusal is not None:
            return refusal
        if self._prepared is not None:
            try:
                await asyncio.shield(self._prepared)
            except Exception as error:
                dialogue.close()  # without the dot the server takes nothing (RFC 5321, 4.1.1.4)
                raise NotPrepared(repr(error)) from error
        self._whole = True
        dialogue.send_content(self._message)
        return await dialogue.reply(self._pool._verdict)

    async def _envelope(self, dialogue: Dialogue) -> Reply | None:
        """MAIL, RCPT and DATA; the first refusal, None when the server waits for the content."""
        wait, at_once = self._pool._timeout, "pipelining" in dialogue.extensions
        size = f" SIZE={len(self._message)}" if "size" in dialogue.extensions else ""
        commands: tuple[tuple[Stage, str], ...] = (
            ("mail", f"MAIL FROM:<{self._from}>{size}"),
            ("rcpt", f"RCPT TO:<{self._to}>"),
            ("data", "DATA"),
        )
        if at_once:
            dialogue.say(*(command for _, command in commands))
        refusal: Reply | None = None
        for stage, command in commands:
            if not at_once:
                dialogue.say(command)
            if refusal is None:
                self._stage = stage
            reply = await dialogue.reply(wait)
            if refusal is not None and stage == "data" and reply.code == 354:
                dialogue.send_content(b"")  # RFC 2920, 3.1: it takes content for nobody; a dot ends that
                await dialogue.reply(wait)
            elif refusal is None and reply.code // 100 != (3 if stage == "data" else 2):
                refusal = reply
                if not at_once:
                    break
        return refusal

    async def _make_fit(self, dialogue: Dialogue, reply: Reply) -> None:
        """Make the connection fit for the next email, or drop it."""
        if reply.code == 421 or not dialogue.is_open:
            dialogue.close()
            return
        if not self._whole:  # an email that was answered whole leaves nothing to reset
            try:
                dialogue.say("RSET")
                await dialogue.reply(self._pool._timeout)
            except NoReply:
                return
        self._pool._idle.append(dialogue)


async def _log_in(client: SMTP, credential: Credential | None) -> None:
    if credential is None:
        return
    try:
        if credential.kind == "oauth2":
            await client.auth_xoauth2(credential.user, credential.secret)
        else:
            await client.login(credential.user, credential.secret)
    except aiosmtplib.SMTPAuthenticationError:
        await asyncio.to_thread(credential.refused)
        raise


def _clean(text: str) -> str:
    """A reply as one line that any JSON encoder takes, and that is harmless to show."""
    return " ".join(one_line(text.encode("utf-8", "replace").decode()).split())[:MAX_DIAGNOSTIC]
