"""Which addresses in a bounce's words are those that failed: the signs that speak for and against each, and the vote.

No format is known by name: an address counts for where it stands (alone on its line, at its start, in a RCPT command),
for what is said beside it, and for being one the returned mail went to; it loses for being the one that is reported to.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from decisions.mail.addresses import addresses, first_address, is_robot
from decisions.mail.evidence import Evidence, Sign, weigh
from decisions.mail.signs import find, shows
from decisions.patterns import searcher, utf8, with_spaces

MOST_RECIPIENTS = 200
ENOUGH = 3  # points that make an address one that failed
_MOST_LINE = 4000  # characters of a line that are looked at
_MOST_PLACES = 6  # lines that count for one address
_MOST_BETWEEN = 12  # lines between an address and the heading or the address above it
_MOST_BEFORE = 200  # characters before an address that say what it is
_MOST_ABOVE = 3  # lines above the one that says what an address was made of
_ALONE = searcher(with_spaces(r"^[~s<>\"'*\-\x{2022}.)\[(\d:;|=]*(?:mailto:)?~S+@~S+[~s<>\"',;:.\])|=]*$"))
_AT_START = searcher(with_spaces(r"^[~s>*\-\x{2022}|]*(?:\d{1,2}[.)][~s]*)?~S+@"))
_AFTER_CODE = searcher(with_spaces(r"^[~s]*[45]\d\d[ -](?:\d\.\d+\.\d+ )?~S+@~S+(?:\.\.\.|[:,])"))
_AT_END = searcher(with_spaces(r"[:：][~s]*~S+@~S+[~s.]*$"))


@dataclass
class _Line:
    """A line with addresses, and what is found in it when it is first asked for."""

    text: str
    above: str
    found: list[str]
    is_listed: bool = False

    @cached_property
    def _raw(self) -> bytes:
        return utf8(self.text)

    @cached_property
    def is_alone(self) -> bool:
        return bool(_ALONE(self._raw) or _AFTER_CODE(self._raw))

    @cached_property
    def at_start(self) -> bool:
        return bool(_AT_START(self._raw))

    @cached_property
    def at_end(self) -> bool:
        return bool(_AT_END(self._raw))

    @cached_property
    def is_labelled(self) -> bool:
        return shows("recipient-label", self.text) and not shows("other-label", self.text)

    @cached_property
    def is_to_line(self) -> bool:
        return shows("to-line", self.text)

    @cached_property
    def says_failure(self) -> bool:
        return shows("failure-said", self.text) or (bool(self.above) and shows("failure-said", self.above))


@dataclass(frozen=True, slots=True)
class _Place:
    """An address in a line."""

    address: str
    line: _Line

    @property
    def at_an_end(self) -> bool:
        line = self.line
        if line.is_alone:
            return False
        return (line.found[0] == self.address and line.at_start) or (line.found[-1] == self.address and line.at_end)

    @property
    def is_addressed(self) -> bool:
        """Whether the words right before it say that it was to be delivered there."""
        before = _before(self.line.text, self.address)
        return bool(before) and shows("addressed-to", before)


@dataclass(frozen=True, slots=True)
class _Role:
    """An address in the bounce as a whole: whether the returned mail went to it, and whether it is ours."""

    key: str
    went_to: bool
    ours: bool


_TELLING = ("listed-as-failed", "addressed-to")
# Of the lines that an address stands in the one that speaks most for it counts.
IN_A_LINE: tuple[Sign[_Place], ...] = (
    Sign("alone-on-its-line", 3, lambda place: place.line.is_alone),
    Sign("at-an-end-of-its-line", 2, lambda place: place.at_an_end),
    Sign("behind-a-label", 2, lambda place: place.line.is_labelled),
    Sign("listed-as-failed", 2, lambda place: place.line.is_listed),
    Sign("addressed-to", 3, lambda place: place.is_addressed),
    Sign("failure-said", 1, lambda place: place.line.says_failure),
)
IN_THE_BOUNCE: tuple[Sign[_Role], ...] = (
    Sign("returned-mail-went-to-it", 3, lambda role: role.went_to),
    Sign("reported-to-and-returned", -1, lambda role: role.ours and role.went_to),
    Sign("reported-to", -4, lambda role: role.ours and not role.went_to),
    Sign("named-as-robots-are-and-returned", -1, lambda role: role.went_to and is_robot(role.key)),
    Sign("named-as-robots-are", -3, lambda role: not role.went_to and is_robot(role.key)),
)


@dataclass(slots=True)
class AddressClaim:
    """An address that the words name: as spelled first, the lines it stands in, its points, and what gave them."""

    address: str
    at: list[int] = field(default_factory=list)
    points: int = -9
    line_points: int = -9
    evidence: tuple[Evidence, ...] = ()
    is_told: bool = False  # it stands where those that failed are told
    only_to_line: bool = True  # it stands nowhere but behind the label of our own To

    def stands(self, number: int, line: _Line, spelled: str) -> None:
        """Counts a line that it stands in, if it is better than those before."""
        self.at.append(number)
        self.only_to_line &= line.is_to_line
        if len(self.at) > _MOST_PLACES:
            return
        points, held = weigh(IN_A_LINE, _Place(spelled, line))
        self.is_told |= any(sign.name in _TELLING for sign in held)
        if points > self.points:
            self.points = self.line_points = points
            self._weighed(held, f"line {number + 1}")

    def judged(self, role: _Role) -> None:
        """Counts what the bounce as a whole says of it."""
        points, held = weigh(IN_THE_BOUNCE, role)
        self.points += points
        kept = self.evidence
        self._weighed(held, "")
        self.evidence = kept + self.evidence

    def _weighed(self, held: Sequence[Sign[_Place]] | Sequence[Sign[_Role]], where: str) -> None:
        self.evidence = tuple(Evidence(self.address, sign.name, where, sign.weight) for sign in held)


def claims(lines: Sequence[str], went_to: dict[str, str], ours: Set[str]) -> dict[str, AddressClaim]:
    """The addresses (lower case) that the lines name, in order, each with its points."""
    found: dict[str, AddressClaim] = {}
    between: list[str] = []
    is_listed = False
    for number, text in enumerate(lines):
        text = text[:_MOST_LINE]
        above = lines[number - 1][:_MOST_LINE] if number else ""
        named = [address for address in addresses(text) if not _is_id(text, address, above)]
        if not named:
            between.append(text)
            continue
        is_listed = _goes_on(between[-_MOST_BETWEEN:], is_listed) and not shows("to-line", text)
        between.clear()
        line = _Line(text, above, named, is_listed)
        for address in named:
            found.setdefault(address.lower(), AddressClaim(address)).stands(number, line, address)
        if len(found) >= MOST_RECIPIENTS:
            break
    for key, claim in found.items():
        claim.judged(_Role(key, key in went_to, key in ours))
    return found


def expanded(lines: Sequence[str]) -> dict[str, str]:
    """Addresses that others are forwarded to (lower case), each with the one that it was made of."""
    words = "\n".join(lines)
    made: dict[str, str] = {}
    if not shows("expanded-from", words, len(words)):
        return made
    for number, text in enumerate(lines):
        found = find("expanded-from", text[:_MOST_LINE])
        if found is None:
            continue
        behind = text[found.end : _MOST_LINE]
        if not behind.strip(" \t<:"):  # the line was broken right there
            behind = "".join(lines[number + 1 : number + 2])
        original = first_address(behind)
        before = [text[: found.start], *reversed(lines[max(0, number - _MOST_ABOVE) : number])]
        target = next((each[-1] for each in map(addresses, before) if each), "")
        if original and target and target.lower() != original.lower():
            made.setdefault(target.lower(), original)
    return made


def _goes_on(between: Sequence[str], is_listed: bool) -> bool:
    """Whether an address below these lines is one of those that failed: a heading stands above, or the list before them
    goes on with what is said of an address, which is indented."""
    for text in reversed(between):
        if not text.strip():
            continue
        if shows("failed-heading", text):
            return True
        if text[0] not in " \t":
            return False
    return is_listed


def _before(text: str, address: str) -> str:
    at = text.find(address)
    return text[max(0, at - _MOST_BEFORE) : at] if at > 0 else ""


def _is_id(text: str, address: str, above: str) -> bool:
    before = _before(text, address)
    if text[0] in " \t" and above:  # the field may have begun in the line above
        before = above[-_MOST_BEFORE:] + " " + before
    return bool(before) and shows("message-id", before)
