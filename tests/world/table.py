"""The final tables: every number of the truth, readable at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.world.truth import Numbers, Part

_TABLES = (
    ("what became of the emails", "sent delivered hard_bounced soft_bounced blocked deferred skipped duplicates"),
    (
        "why they were skipped",
        "skipped_unsubscribed skipped_complained skipped_invalid skipped_replied skipped_paused",
    ),
    (
        "who did what with them",
        "openers clickers unsubscribers resubscribed replied auto_replied complained hits bot_hits machine_hits",
    ),
)


def tables(rows: Mapping[Part, Numbers]) -> str:
    """A line for each part of the play, in three tables; none where all is 0."""
    width = max(map(len, rows), default=0)
    out: list[str] = []
    for title, columns in _TABLES:
        names = columns.split()
        heads = [name.removeprefix("skipped_").replace("_", " ") for name in names]
        out += ["", f"{title}:", _row("", width, heads, heads)]
        for where, numbers in rows.items():
            if any(numbers[name] for name in names):
                out.append(_row(where, width, heads, [str(numbers[name]) for name in names]))
    return "\n".join(out)


def _row(where: str, width: int, heads: Sequence[str], values: Sequence[str]) -> str:
    return f"{where:{width}}" + "".join(f"  {value:>{len(head)}}" for head, value in zip(heads, values, strict=True))
