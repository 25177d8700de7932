"""A source that floods loses its repeats; nobody behind one address loses a first hit; memory is bounded."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.hits.hits import PIXEL
from ingest.hits.source_rate import ALWAYS, WINDOW_SECONDS, SourceRateLimit
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from tests.ingest.room import add_link, hits, running


def taken(
    shares: SourceRateLimit, count: int, *, ip: str = "192.0.2.7", email: str = "e", link: str = "", now: float = 1
) -> int:
    return sum(shares.takes(ip, email, link, now) for _ in range(count))


def test_a_source_within_its_share_may_repeat_itself() -> None:
    assert taken(SourceRateLimit(10), 100) == 100


def test_beyond_its_share_only_repeats_of_one_email_and_link_are_shed() -> None:
    shares = SourceRateLimit(10)
    assert taken(shares, 500) == 100 + ALWAYS
    assert taken(shares, 500, link="a") == ALWAYS
    assert sum(shares.takes("192.0.2.7", f"person-{n}", "", 1) for n in range(5000)) == 5000
    assert taken(shares, 50, ip="192.0.2.8") == 50  # another source is not concerned


def test_a_new_window_is_a_new_share() -> None:
    shares = SourceRateLimit(10)
    taken(shares, 500)
    assert taken(shares, 1, now=1 + WINDOW_SECONDS - 0.01) == 0
    assert taken(shares, 100, now=1 + WINDOW_SECONDS) == 100


def test_a_host_with_many_ipv6_addresses_is_one_source() -> None:
    shares = SourceRateLimit(1)
    assert sum(shares.takes(f"2001:db8::{n:x}", "e", "", 1) for n in range(1, 500)) == 10 + ALWAYS
    assert shares.takes("2001:db8:0:1::1", "e", "", 1)


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "::1", "10.1.2.3", "172.18.0.1", "192.168.1.1", "fd00::1", "fe80::1%eth0", ""]
)
def test_an_address_of_our_own_network_may_stand_for_everybody(ip: str) -> None:
    assert taken(SourceRateLimit(1), 1000, ip=ip) == 1000


def test_without_a_limit_nothing_is_shed() -> None:
    assert taken(SourceRateLimit(0), 10_000) == 10_000


def test_a_million_sources_and_emails_take_bounded_memory_and_pass() -> None:
    shares = SourceRateLimit(1)
    for n in range(120_000):
        assert shares.takes(str(ipaddress.IPv4Address(0xC6000000 + n)), "e", "", 1)
    for n in range(120_000):
        assert shares.takes("198.0.0.5", f"{n}", "", 1)
    assert len(shares._sources) == len(shares._repeats) == 100_000


@given(
    st.lists(
        st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.sampled_from("xyz"), st.floats(0, 3)), max_size=200
    )
)
def test_no_email_s_first_hits_are_ever_shed(flood: list[tuple[str, str, float]]) -> None:
    shares, now, seen = SourceRateLimit(1), 0.0, Counter[tuple[str, str]]()
    for source, email, later in flood:
        now += later
        seen[source, email] += 1
        assert shares.takes(source, email, "", now) or seen[source, email] > ALWAYS


async def test_what_is_shed_is_answered_and_counted(settings: Settings) -> None:
    link = add_link(settings, "https://example.com/offer")
    async with running(settings.model_copy(update={"source_hits_per_second": 2})) as room:
        await room.until_ready()
        pixel = f"/o/{room.token(Purpose.OPEN)}.gif"
        answers = await asyncio.gather(*(room.ask(pixel) for _ in range(60)))
        assert Counter(answer.status for answer in answers) == {200: 20 + ALWAYS, 429: 40 - ALWAYS}
        assert {answer.body for answer in answers} == {PIXEL}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status == 429)
        clicks = [await room.ask(f"/c/{room.token(Purpose.CLICK)}/{link}") for _ in range(10)]
        assert {(click.status, click.headers["location"]) for click in clicks} == {(302, "https://example.com/offer")}
        neighbour = Claim(delivery_id("spring", 1, "n"), "spring", 1, "A", "n", 1_790_000_000)
        assert (await room.ask(f"/o/{room.token(Purpose.OPEN, neighbour)}.gif")).status == 200
        assert await room.counted("sendlens_hits_total", kind="open", result="shed") == 40 - ALWAYS
        assert await room.counted("sendlens_hits_total", kind="click", result="shed") == 10 - ALWAYS
    assert Counter((hit.kind, hit.lead) for hit in hits(settings)) == {
        ("open", "lead-1"): 20 + ALWAYS,
        ("click", "lead-1"): ALWAYS,
        ("open", "n"): 1,
    }
