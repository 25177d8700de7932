"""The recipients' mail server: a real SMTP server that hands each mail to the world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from selectolax.lexbor import LexborHTMLParser

Refuses = Callable[[str], bool]
Receives = Callable[[str, "Received"], Awaitable[None]]


class Received:
    """A mail as a client sees it: its pixel, its links, and how to unsubscribe."""

    def __init__(self, raw: bytes) -> None:
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        html = message.get_body(("html",))
        assert html is not None, "a campaign email without an HTML part"
        tree = LexborHTMLParser(html.get_content())
        self.headers = message
        seen = [a for a in tree.css("a") if "display:none" not in (a.attributes.get("style") or "")]
        links = [a.attributes.get("href") or "" for a in seen]
        self.hidden = [a.attributes["href"] or "" for a in tree.css("a[href]") if a not in seen]
        self.pixels = [
            img.attributes["src"] or "" for img in tree.css("img") if "/o/" in (img.attributes.get("src") or "")
        ]
        self.links = [link for link in links if "/c/" in link]
        self.unsubscribe = next(link for link in links if "/u/" in link)
        self.one_click = message["List-Unsubscribe"].split(">")[0].strip(" <")


class MailServer:
    """Serves SMTP on loopback. `before_answer` runs before the 250 leaves, `after_answer` is told after it."""

    def __init__(
        self, port: int, refuses: Refuses, before_answer: Receives, after_answer: Callable[[str, Received], None]
    ):
        self._refuses = refuses
        self._before_answer = before_answer
        self._after_answer = after_answer
        self._port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", self._port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[Any]) -> str:
        if self._refuses(to):
            return "550 5.1.1 <recipient>: Recipient address rejected: User unknown"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        received = Received(raw)
        (to,) = envelope.rcpt_tos
        await self._before_answer(to, received)
        server.loop.call_soon(self._after_answer, to, received)
        return "250 2.0.0 taken"
