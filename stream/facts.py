"""Which facts hold of leads and addresses, in little memory: for a process that looks up few but must know all.

A fact is 8 bytes of a hash here, some 60 bytes in all, where a record of it takes ten times as much. Two keys with one
hash would mean that somebody is not mailed who might be: at ten million facts the chance of one such pair is 1 in
300,000.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from kafka import TopicPartition

from schemas.events import Lead
from schemas.settings import Settings
from schemas.topics import LEADS
from stream.state import StateTopic


@dataclass(frozen=True, slots=True)
class ActiveFact:
    """A fact that was not taken back; `until` where it ends by itself."""

    until: datetime | None = None

    def holds_at(self, now: datetime) -> bool:
        """Whether it is not over."""
        return self.until is None or now < self.until


_ACTIVE = ActiveFact()


class ActiveFacts:
    """Follows the topic `leads` from the first look-up on: a process without look-ups does not read it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._holding = _Holding()
        self._view: _FactsView | None = None
        self._paused = False
        self._lock = threading.Lock()

    async def wait_until_current(self, moment: float, patience: float) -> bool:
        """Whether all that was written before `moment` (epoch seconds) is known, after `patience` seconds at the most.
        The first call begins to read the topic."""
        with self._lock:
            if self._paused:
                return False
            if self._view is None:
                self._view = _FactsView(self._settings, self._holding)
                self._view.start()
        return await self._view.wait_until_current(moment, patience)

    def get(self, key: str) -> ActiveFact | None:
        """The fact of this key, if it holds. Reliable only when current: while the topic is reread, the answer may be
        stale."""
        return self._holding.get(_digest(key))

    def put(self, fact: Lead) -> None:
        """Know a fact that this process has just written, before the topic brings it back."""
        self._holding.take(fact)

    def __len__(self) -> int:
        return len(self._holding)

    def pause(self) -> None:
        """As StateTopic's."""
        with self._lock:
            self._paused = True
        if self._view is not None:
            self._view.pause()

    def resume(self) -> None:
        """As StateTopic's."""
        self._paused = False
        if self._view is not None:
            self._view.resume()

    def stop(self) -> None:
        if self._view is not None:
            self._view.stop()


class _Holding:
    """Digests of the keys of facts that were not taken back. Few end by themselves: their ends stand apart."""

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._ends: dict[int, datetime] = {}

    def get(self, digest: int) -> ActiveFact | None:
        if digest not in self._keys:
            return None
        until = self._ends.get(digest)
        return _ACTIVE if until is None else ActiveFact(until)

    def take(self, fact: Lead) -> None:
        digest = _digest(fact.key)
        self.bury(digest)
        if fact.holds:
            self._keys.add(digest)
            if fact.until is not None:
                self._ends[digest] = fact.until

    def bury(self, digest: int) -> None:
        self._keys.discard(digest)
        self._ends.pop(digest, None)

    def __len__(self) -> int:
        return len(self._keys)


class _FactsView(StateTopic[Lead]):
    """The topic, of which only digests stay."""

    def __init__(self, settings: Settings, holding: _Holding) -> None:
        super().__init__(settings, LEADS, Lead, key=lambda fact: fact.key)
        self._holding = holding

    def _absorb(self, record: Lead, written_at: float) -> None:
        self._holding.take(record)

    def _bury(self, record: object, later: object) -> None:
        self._holding.bury(_digest((record.key or b"").decode("utf-8", "replace")))  # type: ignore[attr-defined]

    def _take(self, polled: dict[TopicPartition, list[object]], later: object = None) -> None:
        """At once, also when the topic is read again: keeping it all until its end is what must not be."""
        super()._take(polled)


def _digest(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
