"""What is counted after a fault: a row of docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "| fault | sent | answered | stored | lost | double | changed | longest wait | |\n|---|---|---|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Count:
    """`sent` were asked for, `answered` promised. Of these `lost` have no trace, or not all of it; `double` were stored,
    judged or received twice; `changed` are told otherwise than they were. `longest` is the longest wait for an answer, in
    seconds. `note` says what else was seen; `faults` has an example of each that is wrong."""

    sent: int
    answered: int
    stored: int
    lost: int
    double: int
    changed: int
    longest: float
    note: str = ""
    faults: tuple[str, ...] = ()

    def row(self, name: str) -> str:
        figures = (self.sent, self.answered, self.stored, self.lost, self.double, self.changed)
        told = " | ".join(f"{figure:,}" for figure in figures)
        return f"| `{name}` | {told} | {self.longest:.1f} s | {self.note} |"

    def hold(self) -> None:
        """Fail unless all is as on a quiet day."""
        assert not self.faults, "; ".join(self.faults)
        assert (self.lost, self.double, self.changed) == (0, 0, 0), self


def example(what: str, found: set[int] | set[str]) -> tuple[str, ...]:
    """A fault and who it befell, when it befell anybody."""
    return (f"{len(found)} {what}, such as {sorted(found)[:5]}",) if found else ()
