"""An SMTP connection once it is open and logged in: commands out, replies in, several on their way at once.

aiosmtplib opens, secures and logs in; it waits for each reply before the next command, so emails go over this instead
(RFC 2920, command pipelining).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import NamedTuple

MAX_REPLY = 32_768  # octets of one reply, all its lines; generous over any real one
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class Reply(NamedTuple):
    """A reply: its three digits, and its text in one line."""

    code: int
    text: str


class NoReply(Exception):
    """The connection was lost, went silent or spoke no SMTP before the reply was complete."""


class Dialogue(asyncio.Protocol):
    """Takes an open connection over. Replies come in the order of the commands; an unsolicited one ends it."""

    def __init__(self, transport: asyncio.Transport, *, extensions: frozenset[str] = frozenset()) -> None:
        self.extensions = extensions
        self.is_open = not transport.is_closing()
        self._transport = transport
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._expected = 0
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._within = self._until = 0.0
        self._why = "connection lost"
        self._loop = asyncio.get_running_loop()
        transport.set_protocol(self)

    def say(self, *commands: str) -> None:
        """Send commands, one reply expected for each. Raises NoReply when the connection is closed."""
        self._write("".join(f"{command}\r\n" for command in commands).encode("ascii"), len(commands))

    def send_content(self, message: bytes) -> None:
        """Send an email's content after a 354; its lines end with CR LF. One reply is expected."""
        if message.startswith(b".") or b"\n." in message:
            message = _LEADING_DOT.sub(b"..", message)
        self._write(message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n"), 1)

    async def reply(self, within: float) -> Reply:
        """The next reply. Raises NoReply, also after `within` seconds; the connection is closed then."""
        if not self._replies:
            if not self.is_open:
                raise NoReply(self._why)
            self._waiter = self._loop.create_future()
            self._within, self._until = within, self._loop.time() + within
            if self._alarm is None or self._alarm.when() > self._until:
                self._set_alarm()
            try:
                await self._waiter
            finally:
                self._waiter = None
            if not self._replies:
                raise NoReply(self._why)
        return self._replies.popleft()

    def _set_alarm(self) -> None:
        """One alarm for all replies: it is set again when it goes off too early, which is once in a timeout."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        self._alarm = None
        if self._waiter is None:
            return
        if self._loop.time() >= self._until:
            self._end(f"no reply within {self._within:g} s")
        else:
            self._set_alarm()

    def close(self) -> None:
        """Close without a word."""
        self._end("closed")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._lines.append(line)
            if line[3:4] != b"-":
                self._complete()
        if len(self._buffer) + sum(map(len, self._lines)) > MAX_REPLY:
            self._end("a reply without end")

    def eof_received(self) -> None:
        self._end("connection lost")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "connection lost")

    def _complete(self) -> None:
        lines, self._lines = self._lines, []
        code = lines[-1][:3]
        if not (code.isdigit() and len(code) == 3):
            self._end(f"no SMTP reply: {lines[-1][:80]!r}")
            return
        if not self._expected:
            self._end("the server said goodbye")
            return
        self._expected -= 1
        text = b" ".join(line[4:].strip() for line in lines).decode("utf-8", "surrogateescape")
        self._replies.append(Reply(int(code), text))
        self._wake()

    def _write(self, data: bytes, replies: int) -> None:
        if not self.is_open or self._transport.is_closing():
            self._end("connection lost")
            raise NoReply(self._why)
        self._expected += replies
        self._transport.write(data)

    def _end(self, why: str) -> None:
        if self.is_open:
            self.is_open, self._why = False, why
            self._transport.abort()
            if self._alarm is not None:
                self._alarm.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
