"""Hands a payload to an endpoint over HTTP, and says what came of it.

Endpoints are other people's addresses, so what they resolve to is looked at: an address of this machine or of a private
network is refused at the moment of connecting, so that a name can't change its mind, unless such are allowed.
Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from schemas.endpoints import check_url, is_public
from schemas.errors import Reject

_SECONDS = 10.0  # for the whole of it
_ANSWER_BYTES = 500  # of the answer's body that are read, for the operator


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said. `status` is 0 when there was no answer; `asked` is its Retry-After in seconds."""

    status: int
    words: str
    asked: float | None = None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """It wants nothing any more (RFC 9110, 15.5.11)."""
        return self.status == 410


class Endpoints:
    """The connections to endpoints. Open it inside a running loop."""

    def __init__(self, *, private: bool, seconds: float = _SECONDS) -> None:
        self._private = private
        resolver = None if private else _PublicAddresses()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=100, limit_per_host=8, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sendlens-Webhooks/1"},
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Hand it over. Whatever goes wrong is an answer too; nothing is raised."""
        try:
            check_url(url, private=self._private)
            async with self._session.post(
                url, data=body, headers={**headers, "Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                words = await response.content.read(_ANSWER_BYTES)
                return Answer(response.status, _printable(words), _asked(response.headers.get("Retry-After")))
        except Reject as refused:
            return Answer(0, str(refused))
        except TimeoutError:
            return Answer(0, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(0, f"{type(error).__name__}: {error}"[:_ANSWER_BYTES])

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # lets the transports close


class _PublicAddresses(AbstractResolver):
    """Resolves to addresses of the open internet alone; these very addresses are connected to."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [one for one in await self._resolver.resolve(host, port, family) if is_public(one["host"])]
        if not found:
            raise OSError(errno.EACCES, f"{host} leads to no address of the open internet")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _asked(header: str | None) -> float | None:
    """Retry-After in seconds from now: a number, or a date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _printable(words: bytes) -> str:
    return "".join(c if c.isprintable() else " " for c in words.decode("utf-8", "replace")).strip()
