"""Opens and clicks over real HTTP, each of a lead of its own, and what became of every one of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from tests.support.waiting import wait_until

CAMPAIGN = "load"
TARGET = "https://example.com/offer?a=1"
CONNECTIONS = 64
_MINTED_AT = 1_790_000_000  # long ago, so that a delivery nobody knows says nothing
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
_ANSWER_SECONDS = 90.0


@dataclass(frozen=True)
class Visitor:
    """Who fetches the pixel or follows the link, and the verdict that this must have however often it is judged."""

    user_agent: str
    verdict: tuple[str, str]
    delivered_later: bool = False
    clicks: bool = False


VISITORS = (
    Visitor(_BROWSER, ("human", "browser")),
    Visitor(
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        ("human", "mail-proxy"),
    ),
    Visitor("curl/8.11.0", ("bot", "library-agent")),
    # The same browser; only the topic of deliveries tells that it came before the email.
    Visitor(_BROWSER, ("bot", "before-delivery"), delivered_later=True),
    Visitor(_BROWSER, ("human", "browser"), clicks=True),
    Visitor(_BROWSER, ("bot", "before-delivery"), delivered_later=True, clicks=True),
)


def lead(number: int) -> str:
    return f"lead-{number}"


PIXELS = tuple(visitor for visitor in VISITORS if not visitor.clicks)


class Load:
    """`total` hits over `CONNECTIONS` connections that are kept open, in a thread of its own: at most `rate` a second,
    or as fast as they are answered. They are numbered from `first` on.

    A connection that can't be made is tried again. A hit that was asked for and not answered is not asked for again:
    it may be stored or not, but not twice. So may one whose pixel came with 503, where `refusals` are expected.
    """

    def __init__(
        self,
        settings: Settings,
        total: int,
        rate: float | None,
        *,
        first: int = 0,
        visitors: tuple[Visitor, ...] = VISITORS,
        refusals: bool = False,
    ) -> None:
        self.total = total
        self.numbers = range(first, first + total)
        self.refused: set[int] = set()
        self.answered: set[int] = set()
        self.unanswered: set[int] = set()
        self.slowest = 0.0
        self.seconds = 0.0
        self._visitors = visitors
        self._refusals = refusals
        self._settings = settings
        self._rate = rate
        self._started = 0.0
        self._held_from = self.numbers.stop
        self._next: Iterator[int] = iter(self.numbers)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="load", daemon=True)

    def visitor(self, number: int) -> Visitor:
        return self._visitors[number % len(self._visitors)]

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, share: float) -> None:
        """Wait until this share of the hits has been asked for."""
        wait_until(
            lambda: self._failure is not None or self.asked >= share * self.total, 600, f"{share:.0%} of the load"
        )
        if self._failure is not None:
            raise self._failure

    def hold(self, share: float) -> None:
        """Ask for no more than this share of the hits until another is named; what was due meanwhile comes at once."""
        self._held_from = self.numbers.start + ceil(share * self.total)

    def finish(self) -> None:
        """Wait for the last answer."""
        self._thread.join(timeout=900)
        if self._failure is not None:
            raise self._failure
        assert not self._thread.is_alive(), f"the load did not end: {self.asked} of {self.total}"

    @property
    def asked(self) -> int:
        return len(self.answered) + len(self.unanswered) + len(self.refused)

    def _work(self) -> None:
        self._started = time.monotonic()
        try:
            asyncio.run(self._ask_all())
        except BaseException as error:
            self._failure = error
        self.seconds = time.monotonic() - self._started

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._client())

    async def _client(self) -> None:
        """One connection, opened again when it breaks."""
        while (number := next(self._next, None)) is not None:
            reader, writer = await self._connect()
            try:
                while number is not None:
                    await self._until_due(number)
                    asked_at = time.monotonic()
                    self.unanswered.add(number)
                    writer.write(self._request(number))
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        head = await reader.readuntil(b"\r\n\r\n")
                        await reader.readexactly(_length(head))
                    promised = self._check(number, head)
                    self.slowest = max(self.slowest, time.monotonic() - asked_at)
                    self.unanswered.discard(number)
                    (self.answered if promised else self.refused).add(number)
                    number = next(self._next, None)
            except (OSError, asyncio.IncompleteReadError):
                continue  # the server went; whether it had recorded this hit nobody can tell
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _until_due(self, number: int) -> None:
        if self._rate is not None:
            due = self._started + (number - self.numbers.start) / self._rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
        while number >= self._held_from:
            await asyncio.sleep(0.02)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", self._settings.ingest_port)
            except OSError:
                assert time.monotonic() < deadline, "ingest does not come back"
                await asyncio.sleep(0.05)

    def _check(self, number: int, head: bytes) -> bool:
        """Whether the hit is promised: the pixel, or the redirect to where the link leads."""
        if self.visitor(number).clicks:
            assert head.startswith(b"HTTP/1.1 302 "), head
            assert f"\r\nlocation: {TARGET}\r\n".encode() in head, head
        elif self._refusals and head.startswith(b"HTTP/1.1 503 "):
            return False
        else:
            assert head.startswith(b"HTTP/1.1 200 "), head
        return True

    def _request(self, number: int) -> bytes:
        claim = Claim(delivery_id(CAMPAIGN, 1, lead(number)), CAMPAIGN, 1, "A", lead(number), _MINTED_AT)
        keyring = self._settings.keyring
        if self.visitor(number).clicks:
            path = f"/c/{keyring.sign(Purpose.CLICK, claim)}/{keyring.link_id(CAMPAIGN, TARGET)}"
        else:
            path = f"/o/{keyring.sign(Purpose.OPEN, claim)}.gif"
        return f"GET {path} HTTP/1.1\r\nHost: example.com\r\nUser-Agent: {self.visitor(number).user_agent}\r\n\r\n".encode()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError(f"no content-length: {head!r}")
