"""Posts a payload to an endpoint over HTTP, and returns the response.

Endpoints are other people's addresses, so what is connected to is looked at: an address of this machine or of a private
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
from typing import Any

import aiohttp

from schemas.certificates import tls_context, with_advice
from schemas.errors import Reject
from schemas.state.endpoints import check_url, is_public
from schemas.text import one_line

_SECONDS = 10.0  # for the whole of it
_ANSWER_BYTES = 500  # of the answer's body that are read, for the operator


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """An endpoint's response. `status` is 0 when there was no answer; `asked` is its Retry-After in seconds."""

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


class EndpointClient:
    """The connections to endpoints. Open it inside a running loop."""

    def __init__(self, *, private: bool, ca_file: str = "", seconds: float = _SECONDS) -> None:
        self._private = private
        connector = aiohttp.TCPConnector(
            limit=100,
            limit_per_host=8,
            ttl_dns_cache=60,
            ssl=tls_context(ca_file),
            socket_factory=None if private else _socket_to_public,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sendlens-Webhooks/1"},
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> EndpointResponse:
        """Hand it over. Whatever goes wrong is an answer too; nothing is raised."""
        try:
            check_url(url, private=self._private)
            async with self._session.post(
                url, data=body, headers={**headers, "Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                words = await response.content.read(_ANSWER_BYTES)
                return EndpointResponse(response.status, _printable(words), _asked(response.headers.get("Retry-After")))
        except Reject as refused:
            return EndpointResponse(0, str(refused))
        except TimeoutError:
            return EndpointResponse(0, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return EndpointResponse(0, f"{type(error).__name__}: {with_advice(error)}"[:_ANSWER_BYTES])

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # lets the transports close


def _socket_to_public(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """The socket for one connection, whose address is looked at here: it is the very one that is connected to next,
    whatever the name led to before, and whichever of several addresses is tried."""
    family, kind, protocol, _, address = info
    host = str(address[0])
    if not is_public(host.partition("%")[0]):
        raise OSError(errno.EACCES, f"{host} is not of the open internet")
    return socket.socket(family, kind, protocol)


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
    return one_line(words.decode("utf-8", "replace")).strip()
