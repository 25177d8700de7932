"""A keyed lock: it excludes only holders of the same key."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import TracebackType


class KeyedLock:
    """Locks by key, each granted in the order of the requests. An unused lock is removed."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    def of(self, key: Hashable) -> _Hold:
        """Hold the key's lock, as an asynchronous context."""
        return _Hold(self._locks, key)

    def __contains__(self, key: object) -> bool:
        return key in self._locks


class _Lock:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class _Hold:
    """A class, for an asynchronous generator takes three times as long, once an email."""

    def __init__(self, locks: dict[Hashable, _Lock], key: Hashable) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        lock = self._lock = self._locks.setdefault(self._key, _Lock())
        lock.users += 1
        try:
            await lock.lock.acquire()
        except BaseException:
            self._let_go()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.lock.release()
        self._let_go()

    def _let_go(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            del self._locks[self._key]
