"""The recipients' mail server: a real SMTP server that hands each mail to the world."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session
from selectolax.lexbor import LexborHTMLParser


class Received:
    """A mail as a client sees it: its pixel, its links, and how to unsubscribe. `return_path` is its envelope's."""

    def __init__(self, raw: bytes, return_path: str = "") -> None:
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        html = message.get_body(("html",))
        assert html is not None, "a campaign email without an HTML part"
        tree = LexborHTMLParser(html.get_content())
        self.headers = message
        self.return_path = return_path
        seen = [a for a in tree.css("a") if "display:none" not in (a.attributes.get("style") or "")]
        links = [a.attributes.get("href") or "" for a in seen]
        self.hidden = [a.attributes["href"] or "" for a in tree.css("a[href]") if a not in seen]
        self.pixels = [
            img.attributes["src"] or "" for img in tree.css("img") if "/o/" in (img.attributes.get("src") or "")
        ]
        self.links = [link for link in links if "/c/" in link]
        self.unsubscribe = next(link for link in links if "/u/" in link)
        self.one_click = message["List-Unsubscribe"].split(">")[0].strip(" <")


class House(Protocol):
    """Who lives at a domain."""

    async def asked(self, address: str) -> str:
        """The server's answer to RCPT: empty for yes, else the refusal."""
        ...

    async def before_250(self, address: str, mail: Received) -> None:
        """Awaited before the server says that it took the email."""
        ...

    def after_250(self, address: str, mail: Received) -> None:
        """Told once that answer leaves."""
        ...


class MailServer:
    """Serves SMTP on loopback for the domains in `houses`."""

    def __init__(self, port: int, houses: Mapping[str, House]) -> None:
        self._port = port
        self._houses = houses
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", self._port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[Any]) -> str:
        refused = await self._house(to).asked(to)
        if refused:
            return refused
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        assert isinstance(raw, bytes)
        received = Received(raw, envelope.mail_from or "")
        (to,) = envelope.rcpt_tos
        house = self._house(to)
        await house.before_250(to, received)
        server.loop.call_soon(house.after_250, to, received)
        return "250 2.0.0 taken"

    def _house(self, address: str) -> House:
        return self._houses[address.rpartition("@")[2]]
