"""Fetching from Amazon SNS over TLS, and no more often than a few requests of strangers may cause."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable

from schemas.errors import Retry

# Fetches an address of SNS's; raises Retry when it is not to be had.
Fetch = Callable[[str], Awaitable[bytes]]

_SECONDS = 5.0
_MOST_BYTES = 32 * 1024
# SNS has one certificate for a region at a time, and confirms a subscription once.
_FETCHES, _MINUTE = 10, 60.0


class FetchBudget:
    """How many fetches a minute there may be: whose signature is not verified yet can cause them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: deque[float] = deque()

    def spend(self) -> None:
        """Count a fetch. Raises Retry when there were too many lately."""
        now = self._clock()
        while self._begun and self._begun[0] <= now - _MINUTE:
            self._begun.popleft()
        if len(self._begun) >= _FETCHES:
            raise Retry(f"Amazon SNS was asked {_FETCHES} times within a minute, and is not asked more often")
        self._begun.append(now)


async def fetched(url: str, trust: ssl.SSLContext | None = None) -> bytes:
    """Fetch over TLS, whole or not at all: 32 kB at the most, no redirect followed. `trust` is whose certificates are
    believed in the place of the system's. Raises Retry."""
    import aiohttp  # 0.1 s of every start of ingest, for what few installations ever fetch

    body = bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(url, allow_redirects=False, ssl=trust or True) as response,
        ):
            if response.status != 200:
                raise Retry(f"Amazon SNS answered {response.status}")
            # `read(n)` gives what has come so far, which may be less than there is.
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise Retry(f"Amazon SNS answered with more than {_MOST_BYTES} bytes")
            return bytes(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Retry(f"Amazon SNS can't be reached: {type(error).__name__}") from None
