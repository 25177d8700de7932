"""What is kept of addresses tells no more than it says, and hits are judged again as when the address was there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from decisions.robots.client_ip import ClientIp, is_whole, keeper
from decisions.robots.rejudging import StoredVerdict, judge_again
from decisions.robots.rules import Rules
from schemas.events import Clicked, Hit, Opened
from schemas.tokens import Keyring, delivery_id, event_id

KEYS = Keyring.parse("1:the-first-key-of-these-tests")
KINDS: tuple[ClientIp, ...] = ("truncated", "hashed", "none")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
# No address at all, a scanner's network by AS-free prefix, one that is probably one, Apple's relay, and some that nobody
# knows.
PLACES = ("", "192.0.2.7", "192.0.2.200", "198.51.100.9", "2001:db8:1:2::3", "17.58.1.1", "40.94.20.1", "172.224.226.5")


def kept(how: ClientIp, ip: str) -> str:
    make = keeper(how, KEYS)
    return ip if make is None else make(ip)


@pytest.mark.parametrize(
    ("ip", "truncated"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_of_an_address_its_network_is_kept(ip: str, truncated: str) -> None:
    assert kept("truncated", ip) == truncated


def test_full_is_all_and_none_is_nothing() -> None:
    assert (keeper("full", KEYS), kept("none", "203.0.113.77")) == (None, "")


@given(st.ip_addresses().map(str))
def test_a_hash_tells_sources_apart_and_not_who_they_are(ip: str) -> None:
    hashed = kept("hashed", ip)
    assert hashed == kept("hashed", ip)
    assert hashed != kept("hashed", "203.0.113.77") or ip == "203.0.113.77"
    assert ip not in hashed
    assert hashed != keeper("hashed", Keyring.parse("1:another-installations-key"))(ip)  # type: ignore[misc]


@given(st.ip_addresses().map(str))
def test_what_was_kept_in_part_is_known_to_be_that_and_kept_again_is_the_same(ip: str) -> None:
    assert is_whole(ip)
    for how in KINDS:
        part = kept(how, ip)
        assert not is_whole(part)
        assert kept(how, part) == part


def a_hit(n: int, seconds: float, ip: str, **fields: Any) -> Hit:
    delivery = delivery_id("spring", 1, "lead-1")
    values: dict[str, Any] = {
        "id": str(event_id(delivery, f"hit {n}")),
        "kind": "click",
        "at": AT + timedelta(seconds=seconds),
        "delivery_id": str(delivery),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
        "minted_at": AT - timedelta(days=1),
        "link_id": f"{n % 4}" * 64,
        "user_agent": BROWSER,
        "ip": ip,
    } | fields
    return Hit(**values)


def judged(
    rules: Rules, hits: Sequence[Hit], stored: dict[str, StoredVerdict] | None = None, *, delivered: int = 60
) -> list[Opened | Clicked]:
    """The events of an email's hits, of which the email was `delivered` so many minutes before AT."""
    return list(
        judge_again(
            hits,
            AT - timedelta(minutes=delivered),
            rules,
            settle=10.0,
            scanner_window=timedelta(seconds=5),
            honeypots=KEYS.honeypots,
            stored=stored,
        )
    )


_HITS = st.lists(
    st.tuples(
        st.sampled_from(["open", "click"]),
        st.floats(0, 30),
        st.sampled_from(PLACES),
        st.sampled_from([BROWSER, "Mozilla/5.0", "curl/8.11.0"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@pytest.mark.parametrize("how", KINDS)
@given(found=_HITS, delivered=st.sampled_from([1, 60]))
def test_judged_again_without_addresses_a_hit_has_the_verdict_it_had(
    rules: Rules, how: ClientIp, found: list[tuple[str, float, str, str, bool]], delivered: int
) -> None:
    """Bursts, honeypots, scanners' networks and Apple's relay, as recorded; also soon after the delivery."""
    trap = KEYS.honeypots("spring")[0]
    hits = sorted(
        (
            a_hit(n, seconds, ip, kind=kind, user_agent=agent, **({"link_id": trap} if trapped and kind == "click" else {}))
            for n, (kind, seconds, ip, agent, trapped) in enumerate(found)
        ),
        key=lambda hit: (hit.at, hit.id),
    )  # fmt: skip
    first = judged(rules, hits, delivered=delivered)
    stored = {one.id: StoredVerdict(one.verdict, one.reason, one.rules_version, one.network) for one in first}
    parts = [replace(hit, ip=kept(how, hit.ip)) for hit in hits]
    again = judged(rules, parts, stored, delivered=delivered)
    want = [(one.verdict, one.reason, one.network) for one in first]
    got = [(one.verdict, one.reason, one.network) for one in again]
    if how == "truncated":  # two addresses of one network may both be the trap's source: stricter, never laxer
        loosened = [(a, b) for a, b in zip(first, again, strict=True) if a.verdict == "bot" and b.verdict == "human"]
        assert loosened == []
        assert [network for _, _, network in got] == [network for _, _, network in want]
    else:
        assert got == want


def test_a_bare_mozilla_from_elsewhere_stays_a_robot_and_apples_stays_apples(rules: Rules) -> None:
    elsewhere = a_hit(1, 0, "192.0.2.7", kind="open", user_agent="Mozilla/5.0", link_id="")
    (event,) = judged(rules, [elsewhere])
    assert event.verdict == "bot"
    stored = {event.id: StoredVerdict(event.verdict, event.reason, "an older version", event.network)}
    for how in KINDS:
        (again,) = judged(rules, [replace(elsewhere, ip=kept(how, elsewhere.ip))], stored)
        assert (again.verdict, again.reason) == (event.verdict, event.reason)
    apple = {event.id: StoredVerdict("machine", "apple-privacy", "an older version", "Apple Private Relay")}
    for how in KINDS:
        (again,) = judged(rules, [replace(elsewhere, ip=kept(how, elsewhere.ip))], apple)
        assert (again.verdict, again.network) == ("machine", "Apple Private Relay")


@pytest.mark.parametrize("reason", ["apple-privacy", "bare-mozilla"])
def test_an_open_that_never_had_an_address_is_apples_by_other_rules_too(rules: Rules, reason: str) -> None:
    """Of one whose address was not kept, the reason says whether it was Apple's."""
    nowhere = a_hit(1, 0, "", kind="open", user_agent="Mozilla/5.0", link_id="")
    (event,) = judged(rules, [nowhere], {nowhere.id: StoredVerdict("bot", reason, "an older version")})
    assert event.reason == reason
