"""Idempotency keys: the same request again is answered as the first time, and nothing is done again.

As in draft-ietf-httpapi-idempotency-key-header: a key belongs to its caller, path and body. Answers are remembered by
this process, bounded in number, bytes and time. Beyond that, what a request does is safe to do again: a send's request
id is derived from the key (`derived`), so the sender knows it again whichever process asked, and however late.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from fastapi import Request
from fastapi.responses import Response

from ingest.api.http.problems import Problem

HEADER = "Idempotency-Key"
_NAMESPACE = UUID("9d0c5f5c-3d3f-5e0c-9e0e-6f4f2f8f2b11")
_LONGEST = 255
_SECONDS = 24 * 3600.0
_ENTRIES = 10_000
_BYTES = 32 * 1024 * 1024
_AT_ONCE = 1_000_000  # bytes that are hashed on the event loop


@dataclass(slots=True)
class _Entry:
    body: bytes  # its hash
    at: float
    answer: Response | None = None

    @property
    def size(self) -> int:
        return len(bytes(self.answer.body)) if self.answer else 0


class Idempotency:
    """Remembers answers that were a yes, by key. Everything on the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0

    async def once(self, request: Request, body: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of `work`, or the one it gave to this key before. Raises Problem: 400, 409 or 422.

        After a no (Kafka is away, the campaign is unknown) the same request may be tried again.
        """
        key = key_of(request)
        if key is None:
            return await work()
        place = hashlib.sha256("\0".join((request.state.caller, request.url.path, key)).encode()).digest()
        # A large one in a thread, which does not hold up this one.
        digest = await asyncio.to_thread(_digest, body) if len(body) > _AT_ONCE else _digest(body)
        self._forget()
        known = self._entries.get(place)
        if known is not None:
            if known.body != digest:
                raise Problem(422, f"This {HEADER} was sent with another body before.", reason="idempotency-key-reused")
            if known.answer is None:
                raise Problem(
                    409, "The same request is being worked on.", {"Retry-After": "1"}, reason="idempotency-key-in-use"
                )
            answer = known.answer
            headers = {"Idempotency-Replayed": "true"}
            return Response(bytes(answer.body), answer.status_code, headers, media_type=answer.media_type)
        entry = self._entries[place] = _Entry(digest, self._clock())
        try:
            answer = await work()
            if answer.status_code < 400:
                entry.answer = answer
                self._bytes += entry.size if self._entries.get(place) is entry else 0
        finally:
            if entry.answer is None and self._entries.get(place) is entry:
                del self._entries[place]
        return answer

    def _forget(self) -> None:
        """Oldest first: what is too old, and what is too much."""
        old = self._clock() - _SECONDS
        while self._entries:
            entry = next(iter(self._entries.values()))
            if entry.at >= old and len(self._entries) < _ENTRIES and self._bytes < _BYTES:
                return
            self._entries.popitem(last=False)
            self._bytes -= entry.size


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def key_of(request: Request) -> str | None:
    """The request's key, if it has one. Raises Problem(400) unless it is 1 to 255 visible ASCII characters."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= _LONGEST or not all("!" <= character <= "~" for character in key):
        raise Problem(400, f"{HEADER}: want 1 to {_LONGEST} visible ASCII characters.", reason="idempotency-key")
    return key


def derived(request: Request, delivery_id: str) -> str:
    """An id for one send of this request: the same for the same caller, key and delivery; random without a key."""
    key = key_of(request)
    if key is None:
        return str(uuid4())
    return str(uuid5(_NAMESPACE, "\0".join((request.state.caller, key, delivery_id))))
