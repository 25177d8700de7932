"""Wrong keys are answered late, whoever shows them; a right one never is, whoever else shares its address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.types import Receive, Scope, Send

from ingest.api.http import key_guesses
from ingest.api.http.key_guesses import AT_ONCE, LONGEST_SECONDS, SECONDS_EACH, KeyGuesses, source
from schemas.errors import Misconfigured
from schemas.keys import LEAST, new_key
from schemas.settings import load
from tests.ingest.room import Room, metric_of
from tests.security.front import BEARER, KEY, room
from tests.support.broker import Broker

PROXY = "192.0.2.0/24"  # whom a room's requests come from
GUESS = {"Authorization": "Bearer a-guess-of-some-length-or-other"}


def of(address: str) -> dict[str, str]:
    """Through the TLS proxy, of a client at this address."""
    return {"X-Forwarded-For": address}


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("asked")


class Clock:
    """A clock that stands until it is moved on."""

    def __init__(self) -> None:
        self.now = 0.0

    def guesses(self) -> KeyGuesses:
        counted = Counter("wrong", "Wrong.", registry=CollectorRegistry())
        return KeyGuesses(nothing, counted, lambda: self.now)


@pytest.fixture
async def behind_a_proxy(tmp_path: Path, broker: Broker) -> AsyncIterator[Room]:
    async with room(tmp_path, broker, api_key=KEY, trusted_proxies=PROXY) as there:
        yield there


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long answers were held back, in seconds; they are let go at once."""
    held: list[float] = []

    async def hold(self: KeyGuesses, seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr(KeyGuesses, "_hold", hold)
    return held


async def test_a_right_key_gets_in_at_once_after_any_number_of_wrong_ones(
    behind_a_proxy: Room, slept: list[float]
) -> None:
    client = behind_a_proxy.client
    for n in range(3 * AT_ONCE):
        ways = (
            client.post("/login", data={"key": f"guess {n}"}, headers=of("198.51.100.7")),
            client.get("/", headers=GUESS | of("198.51.100.7")),
            client.get("/", auth=("anyone", f"guess {n}"), headers=of("198.51.100.7")),
            client.get("/v1/campaigns/spring", headers=GUESS | of("198.51.100.7")),
            client.get("/metrics", headers=GUESS | of("198.51.100.7")),
        )
        assert {answer.status_code for answer in await asyncio.gather(*ways)} == {401}
    assert slept[:AT_ONCE] == [0.0] * AT_ONCE
    assert max(slept) == LONGEST_SECONDS
    before = len(slept)
    for address in ("198.51.100.7", "203.0.113.9"):  # the guesser's own address is not shut either
        assert (await client.post("/login", data={"key": KEY}, headers=of(address))).status_code == 303
        assert (await client.get("/", headers=BEARER | of(address))).status_code == 200
        assert (await client.get("/v1/campaigns/spring", headers=BEARER | of(address))).status_code == 404
    assert len(slept) == before
    assert await counted(behind_a_proxy) == 15 * AT_ONCE


async def test_another_client_of_the_same_proxy_does_not_pay_for_it(behind_a_proxy: Room, slept: list[float]) -> None:
    for _ in range(2 * AT_ONCE):
        await behind_a_proxy.client.get("/v1/campaigns/spring", headers=GUESS | of("198.51.100.7"))
    assert slept[-1] > 0
    await behind_a_proxy.client.get("/v1/campaigns/spring", headers=GUESS | of("203.0.113.9"))
    assert slept[-1] == 0.0
    # What stands left of the address that the proxy saw, anyone could have sent.
    await behind_a_proxy.client.get("/v1/campaigns/spring", headers=GUESS | of("203.0.113.77, 198.51.100.7"))
    assert slept[-1] > 0


async def test_who_shows_no_key_is_no_guesser(behind_a_proxy: Room, slept: list[float]) -> None:
    for _ in range(2 * AT_ONCE):
        assert (await behind_a_proxy.client.get("/v1/campaigns/spring")).status_code == 401
        assert (await behind_a_proxy.client.get("/boards/overview.json")).status_code == 401
    assert slept == []


async def test_the_answer_is_really_held_back_while_the_right_key_gets_its_own(
    behind_a_proxy: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_guesses, "AT_ONCE", 0)
    monkeypatch.setattr(key_guesses, "SECONDS_EACH", 1.0)
    began = time.monotonic()
    wrong = asyncio.ensure_future(behind_a_proxy.client.get("/v1/campaigns/spring", headers=GUESS))
    assert (await behind_a_proxy.client.get("/v1/campaigns/spring", headers=BEARER)).status_code == 404
    assert (await wrong).status_code == 401
    assert time.monotonic() - began >= 1.0


def test_a_source_has_ten_wrong_keys_at_once_and_then_ten_a_minute() -> None:
    clock = Clock()
    ours = clock.guesses()
    assert [ours.wrong("a") for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    answered = 0
    while clock.now < 600.0:
        clock.now += ours.wrong("a")
        answered += 1
    assert answered == 600 / SECONDS_EACH
    assert ours.wrong("b") == 0.0
    clock.now += AT_ONCE * SECONDS_EACH + LONGEST_SECONDS
    assert [ours.wrong("a") for _ in range(AT_ONCE)] == [0.0] * AT_ONCE


def test_however_many_are_wrong_at_once_none_waits_long_and_little_is_remembered() -> None:
    clock = Clock()
    ours = clock.guesses()
    assert max(ours.wrong("a") for _ in range(10_000)) == LONGEST_SECONDS
    for n in range(30_000):
        ours.wrong(f"2001:db8:{n % 65536:x}:{n // 65536:x}::/64")
    assert len(ours._until) <= 10_000


async def test_answers_that_are_held_back_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_guesses, "_WAITING", 3)
    ours = Clock().guesses()
    held = [asyncio.ensure_future(ours._hold(60.0)) for _ in range(3)]
    await asyncio.sleep(0)
    await ours._hold(60.0)  # the fourth is let go at once
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert ours._waiting == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("198.51.100.7", "198.51.100.7", True),
        ("198.51.100.7", "198.51.100.8", False),
    ],
)
def test_a_host_of_ipv6_is_one_source_by_all_its_addresses(one: str, other: str, same: bool) -> None:
    assert (source({"client": (one, 1)}) == source({"client": (other, 2)})) is same


@pytest.mark.parametrize("short", ["k", "secret", "k" * (LEAST - 1), "sha256:" + "0" * 63, "sha256:" + "G" * 64])
def test_a_key_that_could_be_guessed_starts_nothing_and_is_not_shown(short: str) -> None:
    with pytest.raises(Misconfigured, match=r"SENDLENS_API_KEY: .*openssl rand -hex 32") as error:
        load(api_key=short)
    assert len(short) < 2 or short not in str(error.value)


def test_keys_that_are_made_are_long_enough() -> None:
    for key in (*new_key(), "0123456789abcdef" * 2, "k" * LEAST):
        assert load(api_key=key).callers[0].name == "api-key"


async def counted(room: Room) -> float:
    text = (await room.client.get("/metrics", headers=BEARER)).text
    return metric_of(text, "sendlens_wrong_keys_total")
