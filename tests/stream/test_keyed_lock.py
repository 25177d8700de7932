"""Locks by key: who waits, in which order, and what is left when a wait is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from stream.keyed_lock import KeyedLock


async def test_only_holders_of_the_same_key_wait_and_each_in_its_turn() -> None:
    locks, order = KeyedLock(), []

    async def hold(key: str, name: str) -> None:
        async with locks.of(key):
            order.append(name)
            await asyncio.sleep(0)

    async with locks.of("a"):
        waiting = [asyncio.create_task(hold("a", name)) for name in ("first", "second")]
        await hold("b", "other")
        assert order == ["other"]
        assert "a" in locks
    await asyncio.gather(*waiting)
    assert order == ["other", "first", "second"]
    assert "a" not in locks
    assert "b" not in locks


async def test_a_wait_that_is_cancelled_leaves_no_lock() -> None:
    locks = KeyedLock()

    async def hold() -> None:
        async with locks.of("a"):
            raise AssertionError("held by another")

    async with locks.of("a"):
        waits = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert "a" in locks, "the holder still has it"
    assert "a" not in locks


async def test_what_is_raised_within_lets_go() -> None:
    locks = KeyedLock()
    with pytest.raises(ValueError, match="within"):
        async with locks.of("a"):
            raise ValueError("within")
    assert "a" not in locks
