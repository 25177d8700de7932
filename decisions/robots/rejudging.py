"""Judges the stored hits of one email again, knowing of each hit what the judge knew when it was new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from decisions.robots.client_ip import is_network, is_whole
from decisions.robots.co_occurrence import LATENESS, CoOccurringClicks, RecentClicks
from decisions.robots.networks import RELAY
from decisions.robots.rules import Rules, of_relay
from decisions.robots.timing import soon
from schemas.events import Clicked, Hit, Opened

# A mail server may take 10 minutes to answer (RFC 5321, 4.5.3.2.6): a younger email without a delivery is still on its
# way, an older one has a delivery that nobody knows.
LONGEST_TRANSACTION = timedelta(minutes=10)
_APPLE_PRIVACY = "apple-privacy"  # the reason of an open by Apple's relay


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """What an earlier judgement has left in the event. `network` is what the network was known as; `client`, `device`
    and `country` are those of the event."""

    verdict: str
    reason: str
    rules_version: str
    network: str = field(default="", compare=False)
    client: str = ""
    device: str = ""
    country: str = ""


def judge_again(
    hits: Sequence[Hit],
    delivered_at: datetime | None,
    rules: Rules,
    *,
    settle: float,
    scanner_window: timedelta,
    honeypots: Callable[[str], Collection[str]],
    stored: Mapping[str, StoredVerdict] | None = None,
) -> Iterator[Opened | Clicked]:
    """The events of one email's hits, in the hits' order, which is that of their times.

    What came more than the settle delay after a hit was not known to its judge, and is not known here either: under the
    same rules the same events come out. The moment of a hit stands for that of its record.

    `stored` has the events that are there, by hit. Where an address was not kept whole, its network is the one
    recorded; where not even a part of it was kept, so is what the email's other hits said of this one. The hit tells
    what was kept of it, whatever SENDLENS_CLIENT_IP is by now.
    """
    recent = RecentClicks(settle, honeypots)
    ahead = max(0.0, settle - LATENESS)
    coming = 0
    for hit in hits:
        at = hit.at.timestamp()
        while coming < len(hits) and hits[coming].at.timestamp() <= at + ahead:
            recent.add(0, hits[coming].at.timestamp(), [hits[coming]])
            coming += 1
        known = delivered_at if delivered_at is not None and delivered_at.timestamp() <= at + ahead else None
        before = (stored or {}).get(hit.id)
        relayed, relay = _relayed_then(before, rules.version)
        network, beside = None, recent.co_occurring(0, at, hit)
        if before is not None and not is_whole(hit.ip):
            network = before.network
            relayed = _from_relay(before, hit.ip) if relayed is None else relayed
            beside = beside if is_network(hit.ip) else _recorded(before, known is not None and soon(hit.at, known))
        event = rules.event(
            hit,
            known,
            undelivered=known is None and hit.at - hit.minted_at < LONGEST_TRANSACTION,
            scanner_window=scanner_window,
            co_occurring=beside,
            relayed=relayed,
            relay=relay,
            network=network,
        )
        recent.forget(0, at)
        yield event


def _from_relay(stored: StoredVerdict, ip: str) -> bool | None:
    """Whether an address that was not kept whole was of Apple's relay; None for an address that never was there: it
    was taken for Apple's although no network was known."""
    if not ip and not stored.network and stored.reason == _APPLE_PRIVACY:
        return None
    return stored.network == RELAY.label


def _recorded(stored: StoredVerdict, is_soon: bool) -> CoOccurringClicks:
    """What the other clicks on the email said of a hit, as far as its verdict tells. A hit soon after delivery
    from a probable network needs no other link; beside one its reason had been `click-burst`."""
    return CoOccurringClicks(
        another_link=stored.reason == "probable-network" and not is_soon,
        many_links=stored.reason == "click-burst",
        honeypot=stored.reason == "honeypot",
    )


def _relayed_then(stored: StoredVerdict | None, version: str) -> tuple[bool | None, str | None]:
    """What Apple's list said of the address when the hit was new, and which list; (None, None) when nobody knows.

    Addresses change hands: the list of the day is right about the day, today's is not. The event tells, a fetched list
    stands with it. What the packaged list said is part of its rules, and is asked again when those have changed.
    """
    if stored is None or not of_relay(stored.reason):
        return None, None
    base, _, relay = stored.rules_version.partition("+")
    if not relay and base != version:
        return None, None
    return stored.reason == _APPLE_PRIVACY, relay
