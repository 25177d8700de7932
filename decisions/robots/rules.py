"""Who made a hit: a person, a robot, or a machine that fetches ahead on a person's behalf, and why.

The rules stand in RULES in their order; the first that speaks decides. A rule is a pure function of what is seen. What
a user agent or a network means stands in data files (`agents.tsv`, `networks.tsv`).

No robot may be counted as a person: an unknown agent is a robot (`unknown-agent`), and a hit that passes as a person's
must also have asked as one (GET, not a prefetch).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files

from msgspec import Struct

from decisions.robots.co_occurrence import ALONE, CoOccurringClicks
from decisions.robots.judgement import Judgement, to_event
from decisions.robots.networks import AsnLookup, Network, Networks
from decisions.robots.relay import RelayList
from decisions.robots.timing import SCANNER_WINDOW, soon, too_soon
from decisions.robots.user_agents import Agent, Agents, crawler_patterns
from schemas.events import Clicked, Hit, HitKind, Opened

_RULE_FILES = (
    "robots/ip.py",
    "robots/user_agents.py",
    "robots/co_occurrence.py",
    "robots/rules.py",
    "robots/judgement.py",
    "robots/networks.py",
    "robots/relay.py",
    "tables.py",
    "robots/timing.py",
    "data/agents.tsv",
    "data/crawlers_left_out.tsv",
    "data/networks.tsv",
)


class HitContext(Struct, gc=False):
    """What the rules know of one hit. `at` or `delivered_at` None means unknown: no timing rule applies."""

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
    co_occurring: CoOccurringClicks = ALONE
    relayed: bool | None = None  # from Apple's relay, by a list of another day; None: as the network says


Rule = Callable[[HitContext], Judgement | None]


def _bot(reason: str) -> Judgement:
    return Judgement("bot", reason)


_TOO_SOON = {reason: _bot(reason) for reason in ("before-delivery", "too-quick")}
_HONEYPOT = _bot("honeypot")
_CLICK_BURST = _bot("click-burst")
_SCANNER_NETWORK = _bot("scanner-network")
_PROBABLE_NETWORK = _bot("probable-network")
_HEAD_REQUEST = _bot("head-request")
_PREFETCH = {"open": Judgement("machine", "prefetch-header"), "click": _bot("prefetch-header")}
_PREFETCH_HEADERS = frozenset(("purpose", "sec-purpose", "x-purpose", "x-moz"))
_APPLE = Judgement("machine", "apple-privacy")
_BARE = "bare-mozilla"


def timing(context: HitContext) -> Judgement | None:
    """Sooner than a person can: before the mail server took the email, or within the window after."""
    if context.undelivered:
        return _TOO_SOON["before-delivery"]
    if context.at is None or context.delivered_at is None:
        return None
    reason = too_soon(context.at, context.delivered_at, context.window)
    return None if reason is None else _TOO_SOON[reason]


def honeypot(context: HitContext) -> Judgement | None:
    """The source has followed a link of this email that no person can see."""
    return _HONEYPOT if context.co_occurring.honeypot else None


def click_burst(context: HitContext) -> Judgement | None:
    """Links followed faster than they are read: three within 2 s at any time, two within 5 s while scanners come.

    Two alone a person may open in two tabs, so they are a robot's only soon after delivery. The burst is judged and
    nothing else: an open in the midst of three links, but neither one beside two nor a later click of the same person.
    """
    if context.co_occurring.many_links:
        return _CLICK_BURST
    if context.co_occurring.another_link and context.at is not None and context.delivered_at is not None:
        return _CLICK_BURST if soon(context.at, context.delivered_at) else None
    return None


def scanner_network(context: HitContext) -> Judgement | None:
    """A network that only scanners come from."""
    network = context.network
    if network is not None and network.trust == "scanner" and context.kind in network.kinds:
        return _SCANNER_NETWORK
    return None


def privacy_prefetch(context: HitContext) -> Judgement | None:
    """Apple Mail Privacy Protection: a bare Mozilla/5.0 with no Referer from Apple's relay.

    Without an address it is taken for Apple's, which it nearly always is; from a known address elsewhere it is a bot,
    also where that is known of an address that was not kept.
    """
    if context.agent.reason != _BARE or context.kind != "open" or "referer" in context.headers:
        return None
    relayed = (
        (context.network is not None and context.network.trust == "relay")
        if context.relayed is None
        else context.relayed
    )
    return _APPLE if relayed or (context.relayed is None and not context.ip) else None


def asked_by_a_machine(context: HitContext) -> Judgement | None:
    """HEAD, OPTIONS and the like, and what a browser or proxy prefetches: no person has looked, whatever the client.

    Purpose (WebKit, old Chrome), Sec-Purpose (Fetch standard), X-Moz (Firefox), X-Purpose (old Safari's top sites).
    """
    if context.method != "GET":
        return _HEAD_REQUEST
    headers = context.headers
    if not _PREFETCH_HEADERS.isdisjoint(headers):
        for name in _PREFETCH_HEADERS:
            said = headers.get(name)
            if said and ("prefetch" in said.lower() or "preview" in said.lower() or "prerender" in said.lower()):
                return _PREFETCH[context.kind]
    return None


def known_agent(context: HitContext) -> Judgement | None:
    """What the user agent says, except that it is a browser: those must pass one more rule."""
    agent = context.agent
    if agent.reason == "browser":
        return None
    return agent.open if context.kind == "open" else agent.click


def probable_network(context: HitContext) -> Judgement | None:
    """A security vendor's network soon after delivery; later it may be a person behind browser isolation.

    A network that carries people as well judges clicks alone: soon after delivery, or with a second link at any time.
    """
    network = context.network
    if network is None or network.trust not in ("probable", "second-signal") or context.kind not in network.kinds:
        return None
    if network.trust == "second-signal" and context.co_occurring.another_link:
        return _PROBABLE_NETWORK
    if context.at is None or context.delivered_at is None or not soon(context.at, context.delivered_at):
        return None
    return _PROBABLE_NETWORK


def browser(context: HitContext) -> Judgement | None:
    """What is left is a browser, so a person."""
    return context.agent.open if context.kind == "open" else context.agent.click


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
# Of nearly every hit neither other clicks nor a network are known, and then the rules about these say nothing.
_ABOUT_CLICKS_AND_NETWORKS: tuple[Rule, ...] = (honeypot, click_burst, scanner_network, probable_network)
_OTHER_RULES = tuple(rule for rule in RULES if rule not in _ABOUT_CLICKS_AND_NETWORKS)


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
        had_address = bool(hit.ip) or relay is not None
        if name and of_relay(judgement.reason) and hit.kind == "open" and had_address and "referer" not in hit.headers:
            return f"{self.version}+{name}"
        return self.version

    def judge(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        *,
        undelivered: bool = False,
        scanner_window: timedelta = SCANNER_WINDOW,
        co_occurring: CoOccurringClicks = ALONE,
        relayed: bool | None = None,
    ) -> Judgement:
        """Judge one hit.

        `delivered_at` is when the mail server took the email, None when nobody knows. `undelivered` says that it had
        surely not taken it yet when the hit came. `co_occurring` is what the email's other hits say. `relayed` is what
        Apple's list said of the address on the hit's day, where that is known.
        """
        return decide(self.see(hit, delivered_at, undelivered, scanner_window, co_occurring, relayed))

    def event(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        *,
        undelivered: bool = False,
        scanner_window: timedelta = SCANNER_WINDOW,
        co_occurring: CoOccurringClicks = ALONE,
        relayed: bool | None = None,
        relay: str | None = None,
        network: str | None = None,
        ip: str | None = None,
        client: str = "",
        device: str = "",
        country: str = "",
    ) -> Opened | Clicked:
        """Judge one hit as `judge` does, and make its event: with the version, and with what its user agent and its
        network are known as, whatever rule decided. `relay` is as `version_of` has it. `network` is what the network of
        an address that was not kept was known as. `ip`, `client`, `device` and `country` are as `to_event` has them."""
        context = self.see(hit, delivered_at, undelivered, scanner_window, co_occurring, relayed)
        if network is not None:
            context.network = self._networks.called(network)
        judgement = decide(context)
        label = network if network is not None else context.network.label if context.network is not None else ""
        version, agent = self.version_of(hit, judgement, relay), context.agent.label
        return to_event(hit, judgement, version, agent, label, ip=ip, client=client, device=device, country=country)

    def see(
        self,
        hit: Hit,
        delivered_at: datetime | None,
        undelivered: bool,
        window: timedelta,
        co_occurring: CoOccurringClicks = ALONE,
        relayed: bool | None = None,
    ) -> HitContext:
        """Gather what the rules see of a hit."""
        return HitContext(
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
            co_occurring,
            relayed,
        )


def of_relay(reason: str) -> bool:
    """Whether Apple's list may have decided between this reason and another."""
    return reason == _APPLE.reason or reason == _BARE


def decide(context: HitContext) -> Judgement:
    """The judgement of the first rule that speaks."""
    for rule in RULES if context.network is not None or context.co_occurring is not ALONE else _OTHER_RULES:
        if (judgement := rule(context)) is not None:
            return judgement
    raise AssertionError("the last rule always speaks")


def explain(context: HitContext) -> list[Finding]:
    """What every rule says, in order, also after the one that decides."""
    return [Finding(rule.__name__.replace("_", "-"), rule(context)) for rule in RULES]


def _version() -> str:
    """Twelve hex digits over all that a verdict depends on: the rules' source, their data, the crawler patterns."""
    digest = hashlib.sha256()
    for name in _RULE_FILES:
        digest.update(name.encode() + b"\0" + (files("decisions") / name).read_bytes() + b"\0")
    digest.update("\n".join(crawler_patterns()).encode())
    return digest.hexdigest()[:12]
