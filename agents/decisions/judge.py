"""Who made a hit: a person, a robot, or a machine that fetches ahead on a person's behalf, and why.

The rules stand in RULES in their order; the first that speaks decides. A rule is a pure function of what is seen. What
a user agent or a network means stands in data files (`agents.tsv`, `networks.tsv`).

No robot may be counted as a person: an unknown agent is a robot (`unknown-agent`), and whoever would pass as a person
must also have asked as one (GET, not a prefetch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files

from msgspec import Struct

from agents.decisions.agents import Agent, Agents, crawler_patterns
from agents.decisions.company import ALONE, Company
from agents.decisions.judgement import Judgement, to_event
from agents.decisions.networks import AsnLookup, Network, Networks
from agents.decisions.relay import RelayList
from agents.decisions.timing import SCANNER_WINDOW, soon, too_soon
from schemas.events import Clicked, Hit, HitKind, Opened

_RULE_FILES = (
    "addresses.py",
    "agents.py",
    "company.py",
    "judge.py",
    "judgement.py",
    "networks.py",
    "relay.py",
    "tables.py",
    "timing.py",
    "data/agents.tsv",
    "data/crawlers_left_out.tsv",
    "data/networks.tsv",
)


class Sight(Struct, gc=False):
    """What the rules see of one hit. `at` or `delivered_at` None means unknown, of which timing says nothing."""

    kind: HitKind
    agent: Agent
    ip: str
    network: Network | None
    method: str
    headers: dict[str, str]
    at: datetime | None
    delivered_at: datetime | None
    undelivered: bool
    window: timedelta
    company: Company = ALONE
    relayed: bool | None = None  # from Apple's relay, by a list of another day; None: as the network says


Rule = Callable[[Sight], Judgement | None]


def _bot(reason: str) -> Judgement:
    return Judgement("bot", reason)


_TOO_SOON = {reason: _bot(reason) for reason in ("before-delivery", "too-quick")}
_HONEYPOT = _bot("honeypot")
_CLICK_BURST = _bot("click-burst")
_SCANNER_NETWORK = _bot("scanner-network")
_PROBABLE_NETWORK = _bot("probable-network")
_HEAD_REQUEST = _bot("head-request")
_PREFETCH = {"open": Judgement("machine", "prefetch-header"), "click": _bot("prefetch-header")}
_APPLE = Judgement("machine", "apple-privacy")
_BARE = "bare-mozilla"


def timing(seen: Sight) -> Judgement | None:
    """Sooner than a person can: before the mail server took the email, or within the window after."""
    if seen.undelivered:
        return _TOO_SOON["before-delivery"]
    if seen.at is None or seen.delivered_at is None:
        return None
    reason = too_soon(seen.at, seen.delivered_at, seen.window)
    return None if reason is None else _TOO_SOON[reason]


def honeypot(seen: Sight) -> Judgement | None:
    """The source has followed a link of this email that no person can see."""
    return _HONEYPOT if seen.company.honeypot else None


def click_burst(seen: Sight) -> Judgement | None:
    """Links followed faster than they are read: three within 2 s at any time, two within 5 s while scanners come.

    Two alone a person may open in two tabs, so they are a robot's only soon after delivery. The burst's clicks are
    judged and nothing else: neither the open nor a later click of the same person.
    """
    if seen.kind != "click":
        return None
    if seen.company.many_links:
        return _CLICK_BURST
    if seen.company.another_link and seen.at is not None and seen.delivered_at is not None:
        return _CLICK_BURST if soon(seen.at, seen.delivered_at) else None
    return None


def scanner_network(seen: Sight) -> Judgement | None:
    """A network that only scanners come from."""
    network = seen.network
    if network is not None and network.trust == "scanner" and seen.kind in network.kinds:
        return _SCANNER_NETWORK
    return None


def privacy_prefetch(seen: Sight) -> Judgement | None:
    """Apple Mail Privacy Protection: a bare Mozilla/5.0 with no Referer from Apple's relay.

    Without an address it is taken for Apple's, which it nearly always is; from a known address elsewhere it is a bot.
    """
    if seen.agent.reason != _BARE or seen.kind != "open" or "referer" in seen.headers:
        return None
    relayed = (seen.network is not None and seen.network.trust == "relay") if seen.relayed is None else seen.relayed
    return _APPLE if relayed or not seen.ip else None


def asked_by_a_machine(seen: Sight) -> Judgement | None:
    """HEAD, OPTIONS and the like, and what a browser or proxy fetches ahead: whoever asks, no person has looked.

    Purpose (WebKit, old Chrome), Sec-Purpose (Fetch standard), X-Moz (Firefox), X-Purpose (old Safari's top sites).
    """
    if seen.method != "GET":
        return _HEAD_REQUEST
    headers = seen.headers
    if headers:
        for name in ("purpose", "sec-purpose", "x-purpose", "x-moz"):
            said = headers.get(name)
            if said and ("prefetch" in said.lower() or "preview" in said.lower() or "prerender" in said.lower()):
                return _PREFETCH[seen.kind]
    return None


def known_agent(seen: Sight) -> Judgement | None:
    """What the user agent says, except that it is a browser: those must pass one more rule."""
    return None if seen.agent.reason == "browser" else _says(seen)


def probable_network(seen: Sight) -> Judgement | None:
    """A security vendor's network soon after delivery; later it may be a person behind browser isolation.

    A network that carries people as well judges clicks alone: soon after delivery, or with a second link at any time.
    """
    network = seen.network
    if network is None or network.trust not in ("probable", "second-signal") or seen.kind not in network.kinds:
        return None
    if network.trust == "second-signal" and seen.company.another_link:
        return _PROBABLE_NETWORK
    if seen.at is None or seen.delivered_at is None or not soon(seen.at, seen.delivered_at):
        return None
    return _PROBABLE_NETWORK


def _says(seen: Sight) -> Judgement:
    return seen.agent.open if seen.kind == "open" else seen.agent.click


def browser(seen: Sight) -> Judgement | None:
    """What is left is a browser, so a person."""
    return _says(seen)


RULES: tuple[Rule, ...] = (
    timing,
    honeypot,
    click_burst,
    scanner_network,
    asked_by_a_machine,
    privacy_prefetch,
    known_agent,
    probable_network,
    browser,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule said of a hit; None is that it said nothing."""

    rule: str
    judgement: Judgement | None


class Rules:
    """The rules with their data, compiled. `version` names them: equal versions judge equally.

    An ASN database is the operator's own and has no part in the version. Nor has a list of Apple's relay that was
    fetched: `version_of` names it with the verdicts that it had a say in.
    """

    def __init__(self, agents: Agents, networks: Networks, version: str) -> None:
        self.version = version
        self._agents, self._networks, self._relay = agents, networks, networks.relay
        self.classify = agents.classify
        self.find_network = networks.find

    @classmethod
    def load(cls, asn_of: AsnLookup | None = None) -> Rules:
        """Read and compile what is packaged: a tenth of a second and some 10 MB, once in a process.

        `asn_of` finds the AS number of an address where the operator has an ASN database.
        """
        return cls(Agents.load(), Networks.load(asn_of), _version())

    def with_relay(self, relay: RelayList) -> Rules:
        """The same rules with another list of Apple's relay."""
        return Rules(self._agents, self._networks.with_relay(relay), self.version)

    def version_of(self, hit: Hit, judgement: Judgement, relay: str | None = None) -> str:
        """The version to keep with a judgement of these rules, `VERSION` or `VERSION+LIST`.

        The list of Apple's relay stands there when it was fetched and asked: of bare Mozilla opens from an address.
        `relay` names the list when it was not that of these rules.
        """
        name = self._relay if relay is None else relay
        if name and of_relay(judgement.reason) and hit.kind == "open" and hit.ip and "referer" not in hit.headers:
            return f"{self.version}+{name}"
        return self.version

    def judge(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        *,
        undelivered: bool = False,
        scanner_window: timedelta = SCANNER_WINDOW,
        company: Company = ALONE,
        relayed: bool | None = None,
    ) -> Judgement:
        """Judge one hit.

        `delivered_at` is when the mail server took the email, None when nobody knows. `undelivered` says that it had
        surely not taken it yet when the hit came. `company` is what the email's other hits say. `relayed` is what
        Apple's list said of the address on the hit's day, where that is known.
        """
        return decide(self.see(hit, delivered_at, undelivered, scanner_window, company, relayed))

    def event(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        *,
        undelivered: bool = False,
        scanner_window: timedelta = SCANNER_WINDOW,
        company: Company = ALONE,
        relayed: bool | None = None,
        relay: str | None = None,
    ) -> Opened | Clicked:
        """Judge one hit as `judge` does, and make its event: with the version, and with what its user agent and its
        network are known as, whatever rule decided. `relay` is as `version_of` has it."""
        seen = self.see(hit, delivered_at, undelivered, scanner_window, company, relayed)
        judgement = decide(seen)
        network = seen.network.label if seen.network is not None else ""
        return to_event(hit, judgement, self.version_of(hit, judgement, relay), seen.agent.label, network)

    def see(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        undelivered: bool,
        window: timedelta,
        company: Company = ALONE,
        relayed: bool | None = None,
    ) -> Sight:
        """Gather what the rules see of a hit."""
        return Sight(
            hit.kind,
            self.classify(hit.user_agent),
            hit.ip,
            self.find_network(hit.ip) if hit.ip else None,
            hit.method,
            hit.headers,
            hit.at,
            delivered_at,
            undelivered,
            window,
            company,
            relayed,
        )


def of_relay(reason: str) -> bool:
    """Whether Apple's list may have decided between this reason and another."""
    return reason == _APPLE.reason or reason == _BARE


def decide(seen: Sight) -> Judgement:
    """The judgement of the first rule that speaks."""
    for rule in RULES:
        if (judgement := rule(seen)) is not None:
            return judgement
    raise AssertionError("the last rule always speaks")


def explain(seen: Sight) -> list[Finding]:
    """What every rule says, in order, also after the one that decides."""
    return [Finding(rule.__name__.replace("_", "-"), rule(seen)) for rule in RULES]


def _version() -> str:
    """Twelve hex digits over all that a verdict depends on: the rules' source, their data, the crawler patterns."""
    digest = hashlib.sha256()
    for name in _RULE_FILES:
        digest.update(name.encode() + b"\0" + (files("agents.decisions") / name).read_bytes() + b"\0")
    digest.update("\n".join(crawler_patterns()).encode())
    return digest.hexdigest()[:12]
