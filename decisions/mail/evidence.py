"""Evidence: the signs behind a verdict. They vote by weight, or the first row of a table that holds decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

Of = TypeVar("Of")

KIND = "kind"  # what evidence of a mail's kind is about; all other is about the address of a recipient


class Evidence(Struct, frozen=True, omit_defaults=True):
    """One sign that was found. `about` is KIND or an address; `where` is a header, a line, a code or the words found.

    `weight` is what it counted in a vote; a sign that decided by itself, being the first of its table, has none.
    """

    about: str
    name: str
    where: str = ""
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Sign(Generic[Of]):
    """A row of a table of signs that vote: its name, its points for or against, and its test."""

    name: str
    weight: int
    holds: Callable[[Of], object]


def weigh(table: Iterable[Sign[Of]], of: Of) -> tuple[int, list[Sign[Of]]]:
    """The sum of the weights of all signs that hold, and these signs."""
    held = [sign for sign in table if sign.holds(of)]
    return sum(sign.weight for sign in held), held


@dataclass(frozen=True, slots=True)
class Proof:
    """A row of a table in which the first row that is proven decides: all of these signs, and one of those."""

    name: str
    needs: tuple[str, ...]
    and_one_of: tuple[str, ...] = ()


def prove(table: Iterable[Proof], shows: Callable[[str], str]) -> tuple[str, list[tuple[str, str]]]:
    """The name of the first proof, and each of its signs with where it was found; ("", []) where nothing is proven.

    `shows` says where a sign is found, "" for nowhere. It is asked of no more signs than the proof takes.
    """
    for proof in table:
        found = [(sign, shows(sign)) for sign in proof.needs]
        if not all(where for _, where in found):
            continue
        if proof.and_one_of:
            other = next(((sign, where) for sign in proof.and_one_of if (where := shows(sign))), None)
            if other is None:
                continue
            found.append(other)
        return proof.name, found
    return "", []
