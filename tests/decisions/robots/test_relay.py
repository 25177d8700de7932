"""Apple's list of relay addresses: what is in it, what is none, and which verdicts it has a say in."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.robots.ip import numbered
from decisions.robots.rejudging import StoredVerdict, judge_again
from decisions.robots.relay import RelayList
from decisions.robots.rules import Rules
from decisions.robots.timing import SCANNER_WINDOW
from tests.decisions.robots.hits import DELIVERED, hit

BARE = "Mozilla/5.0"
LISTED, PACKAGED, ELSEWHERE = "198.51.100.9", "172.225.7.9", "203.0.113.9"
APPLE = RelayList(["198.51.100.0/24", "2a02:26f7::/64"])


def v4(number: int, length: int) -> str:
    return str(IPv4Network((number, length), strict=False))


def v6(number: int, length: int) -> str:
    return str(IPv6Network(((1 << 125) | (number >> 3), length), strict=False))


prefixes = st.lists(
    st.builds(v4, st.integers(0, 2**32 - 1), st.integers(8, 32))
    | st.builds(v6, st.integers(0, 2**128 - 1), st.integers(16, 128)),
    min_size=1,
    max_size=30,
)


@given(prefixes, st.ip_addresses())
def test_an_address_is_listed_when_one_of_the_prefixes_has_it(listed: list[str], anywhere: object) -> None:
    relay = RelayList(listed)
    edges = [address for text in listed for address in (ip_network(text)[0], ip_network(text)[-1])]
    for ip in (*edges, *(edge + 1 for edge in edges if int(edge) + 1 < 1 << edge.max_prefixlen), anywhere):
        address = numbered(str(ip))
        assert address is not None
        assert (address in relay) == any(ip_address(str(ip)) in ip_network(text) for text in listed), ip


@given(prefixes)
def test_a_list_is_named_by_what_it_holds_and_not_by_its_order_or_its_cuts(listed: list[str]) -> None:
    halves = [
        str(half)
        for text in listed
        for half in (ip_network(text).subnets() if not text.endswith(("/32", "/128")) else [ip_network(text)])
    ]
    again = RelayList([*reversed(listed), *halves])
    assert (again.name, again.covered) == (RelayList(listed).name, RelayList(listed).covered)


def test_what_apple_publishes_is_read() -> None:
    relay = RelayList.parse(b"172.224.226.0/27,GB,GB-EN,London,\r\n2a02:26f7:c9c4:4000::/64,US,US-CA,LOS ANGELES,\n\n")
    assert (relay.prefixes, relay.covered) == (2, (32, 1))
    assert numbered("2a02:26f7:c9c4:4000::7") in relay  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n\n", b"<html>Sign in to the hotel's network</html>", b"172.224.226.0", b"172.224.226.1/27", b"::/16",
        b"172.224.226.0/33", b"0.0.0.0/0", b"128.0.0.0/1", b"2000::/3", b"fe80::/64", b"172.224.226.0/\xb2", b"\xff\xfe",
        b"172.224.226.0/27,GB\n999.1.1.0/24,GB", b"::ffff:172.224.226.0/123", b"2a02:26f7::/-1",
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|empty"):
        RelayList.parse(text)


def test_a_list_shrank_when_either_family_lost_more_than_half_however_it_is_cut() -> None:
    whole = RelayList(["198.51.100.0/24", "2a02:26f7::/60"])
    assert not RelayList(["198.51.100.0/25", "2a02:26f7::/61"]).shrank(whole)
    assert RelayList(["198.51.100.0/26", "198.51.100.64/27", "2a02:26f7::/60"]).shrank(whole)
    assert RelayList(["198.51.100.0/24"]).shrank(whole)
    assert not RelayList([*(str(part) for part in ip_network("198.51.100.0/24").subnets(3)), "2a02:26f7::/60"]).shrank(
        whole
    )


def test_a_list_as_large_as_apples_ever_was_is_small_and_quick() -> None:
    """By its own count, so that a slow machine fails nothing: 8 bytes a bound, whatever a prefix is."""
    luck = random.Random(7)
    listed = {v6(luck.getrandbits(128), 64) for _ in range(250_000)}
    relay = RelayList(sorted(listed))
    bounds = relay._v6
    assert (relay.prefixes, relay.covered[1]) == (len(listed), len(listed))
    assert memoryview(bounds).nbytes <= 16 * len(listed)  # type: ignore[arg-type]


def test_a_fetched_list_takes_the_packaged_ones_place(rules: Rules) -> None:
    fresh = rules.with_relay(APPLE)
    for judged_by, machine, bot in ((rules, PACKAGED, LISTED), (fresh, LISTED, PACKAGED)):
        assert judged_by.judge(hit(user_agent=BARE, ip=machine), DELIVERED).reason == "apple-privacy"
        assert judged_by.judge(hit(user_agent=BARE, ip=bot), DELIVERED).reason == "bare-mozilla"


def test_the_version_names_the_list_where_it_had_a_say_and_nowhere_else(rules: Rules) -> None:
    fresh = rules.with_relay(APPLE)

    def version(judged_by: Rules, **fields: object) -> str:
        one = hit(**fields)
        return judged_by.version_of(one, judged_by.judge(one, DELIVERED))

    for ip in (LISTED, ELSEWHERE):
        assert version(fresh, user_agent=BARE, ip=ip) == f"{rules.version}+{APPLE.name}"
        assert version(rules, user_agent=BARE, ip=ip) == rules.version
    for fields in (
        {"user_agent": BARE, "ip": ""},
        {"user_agent": BARE, "ip": LISTED, "kind": "click"},
        {"user_agent": BARE, "ip": LISTED, "headers": {"referer": "https://example.com/"}},
        {"user_agent": BARE, "ip": LISTED, "method": "HEAD"},
        {"user_agent": BARE, "ip": LISTED, "at": DELIVERED},
        {"ip": LISTED},
    ):
        assert version(fresh, **fields) == rules.version, fields


def test_judged_again_the_list_of_the_day_stands_and_the_packaged_one_changes_with_its_rules(rules: Rules) -> None:
    one, day = hit(user_agent=BARE, ip=LISTED), "relay-00000000"
    today = rules.with_relay(APPLE)

    def again(reason: str, version: str) -> tuple[str, str]:
        stored = {one.id: StoredVerdict("bot", reason, version)}
        (event,) = judge_again(
            [one], DELIVERED, today, settle=5.0, scanner_window=SCANNER_WINDOW, honeypots=lambda _: (), stored=stored
        )
        return event.reason, event.rules_version

    # Fetched on the day: it stands, under the same rules and under others.
    for base in (rules.version, "older"):
        assert again("bare-mozilla", f"{base}+{day}") == ("bare-mozilla", f"{rules.version}+{day}")
        assert again("apple-privacy", f"{base}+{day}") == ("apple-privacy", f"{rules.version}+{day}")
    # Packaged: the same under the same rules; under others today's list is asked.
    assert again("bare-mozilla", rules.version) == ("bare-mozilla", rules.version)
    assert again("bare-mozilla", "older") == ("apple-privacy", f"{rules.version}+{APPLE.name}")
    # Another rule had decided: there is nothing to keep.
    assert again("unknown-agent", f"older+{day}") == ("apple-privacy", f"{rules.version}+{APPLE.name}")
