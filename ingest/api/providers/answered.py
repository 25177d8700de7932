"""Which requests of a provider were answered: one that comes again, or twice at once, is worked on once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from ingest.api.providers.signatures import AHEAD, LONGEST
from stream.keyed_lock import KeyedLock

# As long as a signature is believed, the earliest that it may be shown included.
_SECONDS = (LONGEST + AHEAD).total_seconds()
_MOST = 100_000  # of each provider, in 30 MB. Mailgun, Postmark and Brevo report one thing in a request


class ProviderAnswer(Struct, frozen=True):
    """How many reports were taken, and how many make nothing known: opens and clicks, which are ours to count, what the
    provider did itself, and emails of others. `repeated`: the same request was answered before."""

    accepted: int
    ignored: int
    repeated: bool = False


class AnsweredRequests:
    """Remembers the answers to the newest requests of one provider, in this process alone."""

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._locks = KeyedLock()
        self._answers: OrderedDict[bytes, tuple[float, ProviderAnswer]] = OrderedDict()

    async def once(self, request: bytes, work: Callable[[], Awaitable[ProviderAnswer]]) -> ProviderAnswer:
        """The answer of `work`, or the one that the same request got before; `request` is what tells it from others.

        One that comes while the first is worked on waits for it. When the work fails, the next to come may do it.
        """
        key = hashlib.sha256(request).digest()
        async with self._locks.of(key):
            self._forget()
            if (known := self._answers.get(key)) is not None:
                return msgspec.structs.replace(known[1], repeated=True)
            answer = await work()
            self._answers[key] = (self._clock(), answer)
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
            return answer

    def _forget(self) -> None:
        old = self._clock() - _SECONDS
        while self._answers and next(iter(self._answers.values()))[0] < old:
            self._answers.popitem(last=False)
