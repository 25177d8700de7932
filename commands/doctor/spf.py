"""Sender Policy Framework, evaluated as a recipient does it (RFC 7208): may this address send by that domain?

What only a mail at hand can tell (macros) and what is not asked for (`ptr`, which the RFC advises against) is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Literal

import dns.exception
import dns.name

Ask = Callable[[str, str], list[str]]  # the records of a name and a type; none is []
IpAddress = IPv4Address | IPv6Address
SpfResult = Literal["pass", "fail", "softfail", "neutral", "unknown"]

# RFC 7208, 4.6.4: terms beyond the tenth that need a question make the whole policy an error, and so does an `mx` of
# more than ten names; more than two questions that find nothing should.
MOST_LOOKUPS = 10
_MOST_EXCHANGERS = 10
_MOST_VOID = 2

_RESULTS: dict[str, SpfResult] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_LOOKS_UP = frozenset(("include", "a", "mx", "ptr", "exists", "redirect"))
_NEEDS_DOMAIN = frozenset(("include", "exists", "redirect"))
_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?![a-z0-9._=-])(.*)", re.IGNORECASE | re.DOTALL
)
_MODIFIER = re.compile(r"([a-z][a-z0-9._-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_AT_DOMAIN = re.compile(r"(?::([^/]+))?(?:/(\d{1,3}))?(?://(\d{1,3}))?")


class PolicyError(Exception):
    """A policy that recipients take for an error (`permerror`): nobody passes by it. Says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism, or `redirect`. `domain` is empty where it is that of the policy; `bits` are its prefix lengths of
    IPv4 and IPv6, or the network of `ip4` and `ip6` is in `value`."""

    text: str
    name: str
    result: SpfResult
    value: str = ""
    domain: str = ""
    bits: tuple[int, int] = (32, 128)


@dataclass(frozen=True, slots=True)
class SpfAnswer:
    """What a policy says of an address, and the term that said so; without one, none fitted."""

    result: SpfResult
    term: str = ""


def policies(domain: str, ask: Ask) -> list[str]:
    """The SPF records of a domain, of which there should be one (RFC 7208, 4.5)."""
    return [text for text in ask(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]


def terms(policy: str) -> list[Term]:
    """The terms of a policy that count: none behind `all`, and `redirect` last where there is no `all` (RFC 7208, 5.1
    and 6.1). Raises PolicyError for one that is wrong, wherever it stands (4.6)."""
    found = list(_read(policy))
    redirects = [term for term in found if term.name == "redirect"]
    if len(redirects) > 1:
        raise PolicyError("`redirect` stands there twice")
    mechanisms = [term for term in found if term.name != "redirect"]
    for number, term in enumerate(mechanisms):
        if term.name == "all":
            return mechanisms[: number + 1]
    return mechanisms + redirects


def lets_nobody(policy: str) -> bool:
    """Whether it says that no mail comes from this domain, as `v=spf1 -all` does. Raises PolicyError."""
    found = terms(policy)
    return bool(found) and found[-1].result == "fail" and not any(term.result == "pass" for term in found)


def reached(policy: str, ask: Ask) -> tuple[set[str], int]:
    """The policies whose senders this one lets pass too, however far down, and how many lookups it takes to read all.

    No more lookups are made than may be. Raises PolicyError, and DNSException without an answer.
    """
    passing, followed = set[str](), set[str]()
    waiting, lookups = [(policy, True)], 0
    while waiting and lookups <= MOST_LOOKUPS:
        text, passes = waiting.pop()
        for term in terms(text):
            lookups += term.name in _LOOKS_UP
            if term.name not in ("include", "redirect") or "%" in term.domain or lookups > MOST_LOOKUPS:
                continue
            if passes and term.result == "pass":
                passing.add(term.domain)
            if term.domain not in followed:
                followed.add(term.domain)
                waiting += [(one, term.domain in passing) for one in policies(term.domain, ask)]
    return passing, lookups


def evaluate(address: IpAddress, domain: str, policy: str, ask: Ask) -> SpfAnswer:
    """What the policy of a domain says of an address (RFC 7208, 4). Raises PolicyError, and DNSException without an
    answer."""
    return _Evaluation(address, ask).of(domain, policy)


class _Evaluation:
    """One address, and what it has cost so far."""

    def __init__(self, address: IpAddress, ask: Ask) -> None:
        self._address = address
        self._ask = ask
        self._lookups = 0
        self._void = 0

    def of(self, domain: str, policy: str) -> SpfAnswer:
        doubted: list[Term] = []
        answer = SpfAnswer("neutral")
        for term in terms(policy):
            if term.name in _LOOKS_UP:
                self._lookups += 1
                if self._lookups > MOST_LOOKUPS:
                    raise PolicyError(f"it asks more than {MOST_LOOKUPS} times")
            if term.name == "redirect" and "%" not in term.domain:
                answer = self._of_other(term)
                break
            fits = self._fits(term, domain)
            if fits is None:
                doubted.append(term)
            elif fits:
                answer = SpfAnswer(term.result, term.text)
                break
        for term in doubted:  # one that might have fitted counts where it says something else
            if term.result != answer.result:
                return SpfAnswer("unknown", term.text)
        return answer

    def _of_other(self, term: Term) -> SpfAnswer:
        found = policies(term.domain, self._ask)
        if len(found) != 1:
            raise PolicyError(f"`{term.text}` leads to {len(found) or 'no'} SPF record{'s' if found else ''}")
        return self.of(term.domain, found[0])

    def _fits(self, term: Term, domain: str) -> bool | None:
        """Whether the term is about the address; None when that can't be known."""
        if "%" in term.domain or term.name == "ptr":
            return None
        where = term.domain or domain
        match term.name:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._address in ip_network(term.value, strict=False)
            case "include":
                inner = self._of_other(term)
                return None if inner.result == "unknown" else inner.result == "pass"
            case "a":
                return self._is_at(where, term)
            case "mx":
                return self._is_exchanger(where, term)
            case _:  # exists: of IPv4 whatever the address is (RFC 7208, 5.7)
                return bool(self._found(where, "A"))

    def _is_exchanger(self, domain: str, term: Term) -> bool:
        names = [record.split()[-1].rstrip(".") for record in self._found(domain, "MX")]
        if len(names) > _MOST_EXCHANGERS:
            raise PolicyError(f"`{term.text}` has more than {_MOST_EXCHANGERS} servers")
        return any(self._is_at(name, term) for name in names if name)

    def _is_at(self, name: str, term: Term) -> bool:
        is_v4 = self._address.version == 4
        bits = term.bits[0 if is_v4 else 1]
        there = self._found(name, "A" if is_v4 else "AAAA")
        return any(self._address in ip_network(f"{one}/{bits}", strict=False) for one in there)

    def _found(self, name: str, kind: str) -> list[str]:
        records = self._ask(name, kind)
        if not records:
            self._void += 1
            if self._void > _MOST_VOID:
                raise PolicyError(f"more than {_MOST_VOID} of its names have no record, as {name}")
        return records


def _read(policy: str) -> Iterator[Term]:
    for text in policy.split()[1:]:
        if mechanism := _MECHANISM.fullmatch(text):
            qualifier, name, rest = mechanism.groups()
            yield _mechanism(text, _RESULTS[qualifier or "+"], name.lower(), rest)
        elif modifier := _MODIFIER.fullmatch(text):
            if modifier[1].lower() == "redirect":  # others say nothing of who may send (RFC 7208, 6)
                yield Term(text, "redirect", "pass", domain=_checked(modifier[2], text))
        else:
            raise PolicyError(f"`{text[:100]}` is no term of SPF")


def _mechanism(text: str, result: SpfResult, name: str, rest: str) -> Term:
    if name in ("ip4", "ip6"):
        return Term(text, name, result, value=_network(text, int(name[-1]), rest))
    if "%" in rest and rest.startswith(":") and name != "all":  # a macro's delimiter may be a slash (RFC 7208, 7.1)
        return Term(text, name, result, domain=rest[1:])
    parts = _AT_DOMAIN.fullmatch(rest)
    if parts is None or (name == "all" and rest) or (name not in ("a", "mx") and "/" in rest):
        raise PolicyError(f"`{text[:100]}` has no such form")
    bits = _bits(text, parts[2], 32), _bits(text, parts[3], 128)
    domain = _checked(parts[1] or "", text) if parts[1] or name in _NEEDS_DOMAIN else ""
    return Term(text, name, result, domain=domain, bits=bits)


def _bits(text: str, given: str | None, most: int) -> int:
    if given is not None and int(given) > most:
        raise PolicyError(f"`{text[:100]}` has a prefix that is too long")
    return most if given is None else int(given)


def _network(text: str, version: int, rest: str) -> str:
    try:
        network = ip_network(rest.removeprefix(":"), strict=False)
    except ValueError:
        raise PolicyError(f"`{text[:100]}` has no network") from None
    if not rest.startswith(":") or network.version != version:
        raise PolicyError(f"`{text[:100]}` has no network of that kind")
    return str(network)


def _checked(domain: str, text: str) -> str:
    """The domain of a term in lower case, with its macros if there are any."""
    found = domain.lower().rstrip(".")
    try:
        if not found or ("%" not in found and not dns.name.from_text(found).labels):
            raise PolicyError(f"`{text[:100]}` names no domain")
    except dns.exception.DNSException:
        raise PolicyError(f"`{text[:100]}` names no domain") from None
    return found
