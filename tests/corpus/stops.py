"""The labelled replies of stops.tsv, and how often the reader is right on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from decisions.mail.reply.stop import stop_request

Reply = tuple[str, str, str]  # yes or no, language, text


def _read() -> list[Reply]:
    lines = Path(__file__).with_name("stops.tsv").read_text(encoding="utf-8").splitlines()
    fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(wanted, language, text.replace("\\n", "\n")) for wanted, language, text in fields]


LABELLED = _read()


@dataclass(frozen=True, slots=True)
class Figures:
    """Replies that ask, those of them found, and all that are said to ask."""

    asked: int
    found: int
    said: int

    @property
    def precision(self) -> float:
        return self.found / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.asked if self.asked else 1.0

    def __str__(self) -> str:
        return (
            f"precision {self.precision * 100:.1f} %, recall {self.recall * 100:.1f} % "
            f"({self.found} of {self.asked} found, {self.said} said)"
        )


def figures(replies: Iterable[Reply]) -> Figures:
    """What the reader says of them."""
    told = [(wanted == "yes", stop_request(text, text) is not None) for wanted, _, text in replies]
    return Figures(sum(asked for asked, _ in told), sum(a and said for a, said in told), sum(said for _, said in told))
