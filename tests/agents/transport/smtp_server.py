"""A real SMTP server (aiosmtpd) for the tests: takes mail, refuses it, falls silent or hangs up, as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

# What a script may hold besides SMTP replies.
HANG_UP = "hang up"  # close the connection without a word
SILENCE = "silence"  # never answer


@dataclass(frozen=True)
class Mail:
    """An email that was taken."""

    envelope_from: str
    envelope_to: str
    content: bytes
    answered_at: datetime
    connection: int


@dataclass
class Server:
    """Serves on loopback while started. Scripts are used up reply by reply; without one everything is taken."""

    at_mail: deque[str] = field(default_factory=deque)
    at_rcpt: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    at_data: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    options: dict[str, Any] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None  # from the first byte
    seconds_per_mail: float = 0.0
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    transactions: int = 0
    under_way: int = 0
    most_under_way: int = 0
    _listening: asyncio.Server | None = None
    _protocols: list[SMTP] = field(default_factory=list)

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection without a word, as a crash does."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self.drop_connections()
        await asyncio.sleep(0)

    def drop_connections(self) -> None:
        for protocol in self._protocols:
            if isinstance(protocol.transport, asyncio.Transport):
                protocol.transport.abort()
        self._protocols.clear()

    def recipients(self) -> list[str]:
        return [mail.envelope_to for mail in self.mails]

    def _accept(self) -> SMTP:
        self.connections += 1
        protocol = SMTP(self, hostname="mx.example.net", loop=asyncio.get_running_loop(), **self.options)
        protocol.number = self.connections  # type: ignore[attr-defined]  # to see which connection a mail came by
        self._protocols.append(protocol)
        return protocol

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, sender: str, options: Any) -> str:
        self.transactions += 1
        reply = await self._scripted(server, self.at_mail)
        if reply is None:
            envelope.mail_from = sender
        return reply or "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: Any) -> str:
        reply = await self._scripted(server, self.at_rcpt[to])
        if reply is None:
            envelope.rcpt_tos.append(to)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.seconds_per_mail:
                await asyncio.sleep(self.seconds_per_mail)
            (to,) = envelope.rcpt_tos
            reply = await self._scripted(server, self.at_data[to])
            if reply is not None:
                return reply
            content, sender = envelope.content, envelope.mail_from
            assert isinstance(content, bytes)
            assert sender is not None
            number = server.number  # type: ignore[attr-defined]
            self.mails.append(Mail(sender, to, content, datetime.now(UTC), number))
            return "250 2.0.0 taken"
        finally:
            self.under_way -= 1

    async def _scripted(self, server: SMTP, script: deque[str]) -> str | None:
        reply = script.popleft() if script else None
        if reply == HANG_UP:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "421 never seen"
        if reply == SILENCE:
            await asyncio.get_running_loop().create_future()
        return reply


def only(user: str, password: str) -> Any:
    """An authenticator that lets one user in."""

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

    return authenticate
