"""Whom a bounce without a delivery status speaks of, and what it says of each, from its words and what it returns."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from decisions.mail.addresses import addresses
from decisions.mail.bounce.claims import ENOUGH, MOST_RECIPIENTS, AddressClaim, claims, expanded
from decisions.mail.bounce.recipients import Parties, ids_of
from decisions.mail.evidence import Evidence
from decisions.mail.parts import MimePart

_MOST_LINES = 1200
_MOST_BESIDE = 12  # lines after an address that may belong to it
_ARROW = re.compile(r"^\s*(?:<<<|>>>|\.\.\. while)")
# The transcript of the session goes on.
_ANOTHER = re.compile(r"^\s*(?:\.\.\. )?while talking|^\d{3} \S+ \(\w+\)\.\.\.", re.IGNORECASE)
_WENT_TO = ("x-failed-recipients", "x-envelope-to", "to", "envelope-to", "x-original-to", "cc", "bcc", "resent-to")


@dataclass(frozen=True, slots=True)
class AddressMention:
    """An address a bounce speaks of, the words that stand with it, and why it is taken for one that failed."""

    address: str
    words: str
    score: int
    evidence: tuple[Evidence, ...] = ()


def named(words: str, returned: MimePart | None, parties: Parties, *, guess: bool = True) -> list[AddressMention]:
    """The addresses that failed, in order. `guess`: where the words don't say who, one whom our mail merely went to."""
    fields = words.find("\nReporting-MTA:")
    lines = words[: fields if fields > 0 else None].split("\n")[:_MOST_LINES]
    went_to = recipients_of(returned)
    sent_it = parties.reported_to | _writers_of(returned)
    found = claims(lines, went_to, parties.all | sent_it)
    for key in (sent_it | parties.ids | _ids_of(returned)) & found.keys():
        del found[key]
    _made_of(found, expanded(lines), went_to)
    best = _told({key: claim for key, claim in found.items() if claim.points >= ENOUGH})
    if not guess:
        best = {key: claim for key, claim in best.items() if not claim.only_to_line}
    best = best or (_guessed(found, went_to) if guess else {})
    if not best and went_to and guess:
        return _returned(went_to, words, sent_it)
    others = {number for claim in best.values() for number in claim.at}
    return [
        AddressMention(claim.address, _beside(lines, claim.at, others), claim.points, claim.evidence)
        for claim in best.values()
    ]


def _made_of(found: dict[str, AddressClaim], made: dict[str, str], went_to: dict[str, str]) -> None:
    """Puts the address that we wrote to in the place of the one that it is forwarded to."""
    for key, original in made.items():
        target, ours = found.get(key), found.get(original.lower())
        if target is None or ours is None or (key in went_to and original.lower() not in went_to):
            continue
        ours.at = sorted({*ours.at, *target.at})
        ours.points = max(ours.points, target.points, ENOUGH)
        ours.evidence = (*ours.evidence, Evidence(ours.address, "expanded-from", target.address))
        del found[key]


def _told(best: dict[str, AddressClaim]) -> dict[str, AddressClaim]:
    """Where some are told as those that failed, the others are not whom our mail was merely for."""
    if not any(claim.is_told and not claim.only_to_line for claim in best.values()):
        return best
    return {
        key: claim for key, claim in best.items() if claim.is_told or not (claim.only_to_line or claim.line_points < 2)
    }


def recipients_of(returned: MimePart | None) -> dict[str, str]:
    """Addresses (lower case -> as spelled) that the returned mail went to, by its own headers."""
    if returned is None:
        return {}
    found: dict[str, str] = {}
    for name in _WENT_TO:
        for value in returned.all(name)[:20]:
            for address in addresses(value)[:MOST_RECIPIENTS]:
                found.setdefault(address.lower(), address)
    return found


def _writers_of(returned: MimePart | None) -> set[str]:
    if returned is None:
        return set()
    return {address.lower() for address in addresses(returned.get("from") + " " + returned.get("return-path"))}


def _ids_of(returned: MimePart | None) -> set[str]:
    return ids_of(returned) if returned is not None else set()


def _returned(went_to: dict[str, str], words: str, ours: Set[str]) -> list[AddressMention]:
    """Where the words name nobody that counts: whom the returned mail went to."""
    return [
        AddressMention(address, words, 1, (Evidence(address, "returned-mail-went-to-it"),))
        for key, address in list(went_to.items())[:MOST_RECIPIENTS]
        if key not in ours
    ]


def _guessed(found: dict[str, AddressClaim], went_to: dict[str, str]) -> dict[str, AddressClaim]:
    """Those that our mail went to, as far as the words name them; the foremost where nobody knows whom it went to."""
    return {key: found[key] for key in went_to if key in found} or ({} if went_to else _foremost(found))


def _foremost(found: dict[str, AddressClaim]) -> dict[str, AddressClaim]:
    """Those with the most points, in a language that nobody here reads: more than none, or one alone with none."""
    top = max((claim.points for claim in found.values()), default=-1)
    best = {key: claim for key, claim in found.items() if claim.points == top}
    return best if top > 0 or (top == 0 and len(best) == 1) else {}


def _beside(lines: list[str], numbers: list[int], others: set[int]) -> str:
    """The words that belong to an address: its lines, those after each up to a blank or another address."""
    kept: dict[int, None] = {}
    foreign = others.difference(numbers)
    for number in numbers[:6]:
        kept |= dict.fromkeys(_above(lines, number, others))
        kept |= dict.fromkeys(_below(lines, number, foreign))
    return "\n".join(lines[number].strip() for number in kept)[:4000]


def _above(lines: list[str], number: int, others: set[int]) -> range:
    """The line, and those before it in which the session is shown that led to it."""
    start = number
    while start > 0 and _ARROW.match(lines[start - 1]) and number - start < 6 and start - 1 not in others:
        start -= 1
    return range(start, number + 1)


def _below(lines: list[str], number: int, others: set[int]) -> list[int]:
    """The lines after it up to a blank one, another address or another session; the first of them may be blank."""
    block: list[int] = []
    for after in range(number + 1, min(number + _MOST_BESIDE, len(lines))):
        if after in others or _ANOTHER.match(lines[after]):
            break
        if lines[after].strip():
            block.append(after)
        elif after > number + 1:
            break
    return block
