"""What a benchmark hands back: figures with their spread, ratios of figures of the same round, and remarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Samples:
    """One figure measured once a round."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> float:
        """Largest less smallest, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.middle if self.middle else 0.0

    def over(self, other: Samples) -> Samples:
        """Ratios round by round: what ran one after the other is compared, not what ran minutes apart."""
        return Samples(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two figures of one run against each other. `target` is the least it should be, None where nothing is promised."""

    what: str
    samples: Samples
    target: float | None = None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        low, middle, high = min(self.samples.values), self.samples.middle, max(self.samples.values)
        if middle >= self.target:
            return "reached" if low >= self.target else "reached at the median"
        return "missed" if high < self.target else "missed at the median"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the first row of names above."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(slots=True)
class Section:
    """One benchmark's part of the page."""

    title: str
    how: str
    command: str
    tables: list[Table] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Wrong(Exception):
    """The run measured something that is not true: rows lost, answers that failed. No figure may come of it."""
