"""Bursts of clicks and the honeypot: what the other hits of an email say of one."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.robots.co_occurrence import HONEYPOT_SECONDS, LATENESS, REMEMBERED_SECONDS, RecentClicks, _Clicks
from decisions.robots.rules import Rules
from schemas.events import Hit
from tests.decisions.robots.hits import DELIVERED, hit

SETTLE = 5.0
TRAP = "f" * 64
MINUTE, HOUR = 60.0, 3600.0


def click(after: float, link: str = "a", **what: Any) -> Hit:
    """A click some seconds after delivery."""
    at = DELIVERED + timedelta(seconds=after)
    return hit(kind="click", id=str(uuid.uuid4()), at=at, link_id=link, **what)


def verdicts(rules: Rules, *hits: Hit, settle: float = SETTLE, delivered_at: datetime | None = DELIVERED) -> list[str]:
    """The reasons that hits get, each written by ingest at the moment it happened."""
    recent = RecentClicks(settle, lambda campaign: (TRAP,))
    for one in hits:
        recent.add(0, one.at.timestamp(), [one])
    judged = []
    for one in hits:
        co_occurring = recent.co_occurring(0, one.at.timestamp(), one)
        judged.append(rules.judge(one, delivered_at, co_occurring=co_occurring).reason)
    return judged


def test_two_links_at_once_soon_after_delivery_are_a_burst(rules: Rules) -> None:
    assert verdicts(rules, click(43, "a"), click(43.2, "b")) == ["click-burst", "click-burst"]
    assert verdicts(rules, click(43, "a"), click(47, "b")) == ["click-burst", "click-burst"]


def test_a_person_who_opens_two_links_in_two_tabs_when_scanners_are_gone_is_a_person(rules: Rules) -> None:
    assert verdicts(rules, click(HOUR, "a"), click(HOUR + 4, "b")) == ["browser", "browser"]
    assert verdicts(rules, click(HOUR, "a"), click(HOUR + 0.1, "b")) == ["browser", "browser"]


def test_a_person_who_reads_between_two_links_is_a_person_at_any_time(rules: Rules) -> None:
    assert verdicts(rules, click(30, "a"), click(36, "b"), click(42, "c")) == ["browser"] * 3


def test_a_double_click_is_no_burst(rules: Rules) -> None:
    assert verdicts(rules, *(click(30 + n / 10, "a") for n in range(5))) == ["browser"] * 5


def test_three_links_within_two_seconds_are_a_burst_at_any_time_and_without_a_known_delivery(rules: Rules) -> None:
    burst = [click(HOUR + n, link) for n, link in enumerate("abc")]
    assert verdicts(rules, *burst) == ["click-burst"] * 3
    assert verdicts(rules, *burst, delivered_at=None) == ["click-burst"] * 3
    slow = [click(HOUR + 1.1 * n, link) for n, link in enumerate("abc")]
    assert verdicts(rules, *slow) == ["browser"] * 3


def test_only_the_burst_is_judged_not_the_person(rules: Rules) -> None:
    opened = hit(at=DELIVERED + timedelta(seconds=30))
    assert verdicts(rules, opened, click(30, "a"), click(30, "b"), click(40, "a")) == [
        "browser",
        "click-burst",
        "click-burst",
        "browser",
    ]


def test_what_comes_from_another_source_or_for_another_email_is_no_company(rules: Rules) -> None:
    other = "1" * 8 + hit().delivery_id[8:]
    assert verdicts(rules, click(30, "a"), click(30, "b", ip="198.51.100.10")) == ["browser", "browser"]
    assert verdicts(rules, click(30, "a"), click(30, "b", delivery_id=other)) == ["browser", "browser"]


@pytest.mark.parametrize(
    "addresses",
    [
        [f"203.0.113.{n}" for n in (9, 10, 200)],
        ["198.51.100.1", "203.0.113.10", "192.0.2.4"],
        ["2001:db8:1::1", "2001:db8:1:ffff::2", "2001:db8:1:8::3"],
        ["2001:db8:1::1", "203.0.113.10", ""],
    ],
)
def test_three_links_at_once_are_a_burst_from_however_many_addresses(rules: Rules, addresses: list[str]) -> None:
    burst = [click(HOUR + n / 2, "abc"[n], ip=ip) for n, ip in enumerate(addresses)]
    assert verdicts(rules, *burst) == ["click-burst"] * 3


@pytest.mark.parametrize(
    ("one", "other", "burst"),
    [
        ("203.0.113.9", "203.0.113.250", True),
        ("2001:db8:1:2::9", "2001:db8:1:ffff::1", True),
        ("::ffff:203.0.113.9", "203.0.113.10", True),
        ("203.0.113.9", "203.0.114.9", False),
        ("2001:db8:1::9", "2001:db8:2::9", False),
        ("203.0.113.9", "2001:db8:2::9", False),
    ],
)
def test_two_links_at_once_are_a_burst_within_a_network(rules: Rules, one: str, other: str, burst: bool) -> None:
    said = verdicts(rules, click(43, "a", ip=one), click(44, "b", ip=other))
    assert said == ["click-burst" if burst else "browser"] * 2


@pytest.mark.parametrize("after", [-1.5, -0.2, 0.0, 0.3])
def test_an_open_in_the_midst_of_a_burst_is_the_robots_too(rules: Rules, after: float) -> None:
    opened = hit(at=DELIVERED + timedelta(seconds=HOUR + after))
    clicks = [click(HOUR + n / 10, "abcdef"[n]) for n in range(6)]
    hits = sorted([opened, *clicks], key=lambda one: one.at)
    assert verdicts(rules, *hits) == ["click-burst"] * 7


def test_an_open_by_another_or_at_another_time_is_not(rules: Rules) -> None:
    clicks = [click(HOUR + n / 10, "abc"[n]) for n in range(3)]
    for opened in (
        hit(at=DELIVERED + timedelta(seconds=HOUR), ip="198.51.100.7"),
        hit(at=DELIVERED + timedelta(seconds=HOUR - 30)),
        hit(at=DELIVERED + timedelta(seconds=HOUR + 10)),
    ):
        assert verdicts(rules, opened, *clicks)[0] == "browser"


def test_one_open_and_one_click_at_once_are_a_person(rules: Rules) -> None:
    opened = hit(at=DELIVERED + timedelta(seconds=30))
    assert verdicts(rules, opened, click(30.005, "a")) == ["browser", "browser"]


def test_people_who_follow_the_same_link_at_once_are_people(rules: Rules) -> None:
    people = [click(30 + n / 10, "a", ip=f"203.0.113.{n}") for n in range(5)]
    assert verdicts(rules, *people) == ["browser"] * 5


@pytest.mark.parametrize("unknown", ["", "unknown", "2001:db8::1"])
def test_whose_address_is_not_known_is_judged_beside_those_whose_is(rules: Rules, unknown: str) -> None:
    same = [click(30, "a", ip=unknown), click(30, "a"), click(30, "a", ip="198.51.100.9")]
    assert verdicts(rules, *same) == ["browser"] * 3
    assert verdicts(rules, *same, click(30, "b", ip=unknown)) == ["click-burst", "browser", "browser", "click-burst"]


def test_a_discovery_by_head_throws_no_doubt_on_the_person_who_follows(rules: Rules) -> None:
    assert verdicts(rules, click(30, "b", method="HEAD"), click(31, "a")) == ["head-request", "browser"]


def test_whoever_follows_what_nobody_sees_is_a_robot_for_a_quarter_of_an_hour(rules: Rules) -> None:
    opened = hit(at=DELIVERED + timedelta(seconds=50))
    trap, later, much_later = click(47, TRAP), click(47 + 14 * MINUTE, "a"), click(47 + 16 * MINUTE, "a")
    assert verdicts(rules, trap, opened, later, much_later) == ["honeypot", "honeypot", "honeypot", "browser"]
    assert verdicts(rules, click(44, "a"), trap) == ["honeypot", "honeypot"], "it came within the settle delay"
    assert verdicts(rules, click(40, "a"), trap) == ["browser", "honeypot"], "it was judged before"
    assert verdicts(rules, click(44, "a", ip="203.0.113.10"), trap) == ["browser", "honeypot"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_honeypot_may_be_touched_by_any_method(rules: Rules, method: str) -> None:
    assert verdicts(rules, click(47, TRAP, method=method), click(52, "a"))[1] == "honeypot"


def test_what_comes_after_the_settle_delay_changes_no_verdict(rules: Rules) -> None:
    assert verdicts(rules, click(30, "a"), click(31, "b"), settle=1.0) == ["browser", "click-burst"]


def test_clicks_are_forgotten_when_no_hit_can_need_them() -> None:
    recent = RecentClicks(SETTLE, lambda campaign: (TRAP,))
    for n in range(500):
        recent.add(n % 3, 1000.0 + n, [click(n, "a", ip=f"192.0.2.{n % 250}"), click(n, TRAP)])
    for partition in range(3):
        recent.forget(partition, 1499.0)
    assert 0 < len(recent) < 30 + 500
    for partition in range(3):
        recent.forget(partition, 1499.0 + HONEYPOT_SECONDS + HOUR)
    assert len(recent) == 0


def test_a_flood_from_one_source_takes_little_memory(rules: Rules) -> None:
    recent = RecentClicks(SETTLE, lambda campaign: (TRAP,))
    flood = [click(HOUR, str(n)) for n in range(5000)]
    recent.add(0, 0.0, flood)
    assert len(recent) < 100
    co_occurring = recent.co_occurring(0, 0.0, flood[-1])
    assert rules.judge(flood[-1], DELIVERED, co_occurring=co_occurring).reason == "click-burst"


MOMENTS = st.lists(
    st.tuples(st.integers(0, 120), st.sampled_from(["a", "b", "c", TRAP]), st.sampled_from(["192.0.2.1", "192.0.2.2"])),
    min_size=1,
    max_size=12,
)


@given(MOMENTS, st.data())
def test_verdicts_do_not_depend_on_groups_nor_on_duplicates_nor_on_a_restart(
    rules: Rules, moments: list[tuple[int, str, str]], data: st.DataObject
) -> None:
    """Once through, as live as can be: each hit judged when its delay ends. Then: all known, doubled, in any order."""
    hits = sorted((click(30 + at / 8, link, ip=ip) for at, link, ip in moments), key=lambda one: one.at)
    live = RecentClicks(SETTLE, lambda campaign: (TRAP,))
    waiting, once = list(hits), {}
    for one in hits:
        until = one.at.timestamp() + SETTLE - LATENESS
        while waiting and waiting[0].at.timestamp() <= until:
            arrived = waiting.pop(0)
            live.add(0, arrived.at.timestamp(), [arrived])
        once[one.id] = live.co_occurring(0, one.at.timestamp(), one)
        live.forget(0, one.at.timestamp())
    again = RecentClicks(SETTLE, lambda campaign: (TRAP,))
    for one in data.draw(st.permutations(hits + hits[::2])):
        again.add(0, one.at.timestamp() + (60 if data.draw(st.booleans()) else 0), [one])
    for one in hits:
        again.add(0, one.at.timestamp(), [one])
    assert {one.id: again.co_occurring(0, one.at.timestamp(), one) for one in hits} == once


@given(MOMENTS, st.booleans(), st.integers(0, 120), st.integers(0, 3))
def test_what_is_told_before_times_are_looked_at_is_what_times_tell(
    moments: list[tuple[int, str, str]], by_head: bool, forgotten: int, again: int
) -> None:
    """An open, a click and one by HEAD, at every moment: also of a hit that is not among those remembered."""
    recent = RecentClicks(SETTLE, lambda campaign: (TRAP,))
    hits = [click(30 + at / 8, link, ip=ip) for at, link, ip in moments]
    for one in hits:
        recent.add(0, one.at.timestamp(), [one])
    recent.forget(0, (DELIVERED + timedelta(seconds=30 + forgotten / 8)).timestamp() + REMEMBERED_SECONDS)
    for one in hits[:again]:  # read back from a record before it
        recent.add(0, one.at.timestamp() - 1.0, [one])
    asked = [*hits, *(hit(at=one.at, ip=one.ip) for one in hits)]
    asked += [click(30 + at / 8, link, ip=ip, method="HEAD" if by_head else "GET") for at, link, ip in moments]
    told = [recent.co_occurring(0, one.at.timestamp(), one) for one in asked]
    with patch("decisions.robots.co_occurrence._Clicks.could_co_occur", _by_their_number):
        assert told == [recent.co_occurring(0, one.at.timestamp(), one) for one in asked]


def _by_their_number(recent: _Clicks, one: Hit) -> bool:
    """The least that can co-occur: another click, or three links' clicks around an open."""
    return len(recent.by_email.get(one.delivery_id, ())) >= (2 if one.kind == "click" else 3)
