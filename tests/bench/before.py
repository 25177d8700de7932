"""What each board's query took on another commit, read from the page that its own `make bench-analytics` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tests.bench.figures import Section, Table

_HEAD = ("board", "query", "campaigns", "p50 ms", "p95 ms", "CPU ms", "")
Row = Sequence[str]


def rows_of(page: str) -> dict[tuple[str, str], Row]:
    """The rows of a page's table of queries, by query and by whose campaigns were asked for. Raises ValueError when it
    has no such table."""
    lines = page.splitlines()
    head = "| " + " | ".join(_HEAD) + " |"
    if head not in lines:
        raise ValueError(
            "this page has no table of queries: give it the docs/benchmarks.md that make bench-analytics wrote"
        )
    found = {}
    for line in lines[lines.index(head) + 2 :]:
        if not line.startswith("|"):
            break
        row = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        found[row[1], row[2]] = row
    return found


def compared(after: Sequence[Row], before: Mapping[tuple[str, str], Row], called: Mapping[str, str]) -> Section:
    """The rows beside those of the other commit; `called` gives the name of today for a name of then.

    Compared by processor time, which neighbours on the machine change little.
    """
    known = {(called.get(query, query), who): row for (query, who), row in before.items()}
    pairs = [(known[row[1], row[2]], row) for row in after if (row[1], row[2]) in known]
    ratios = sorted(
        ((float(new[5]) / float(old[5]), old, new) for old, new in pairs if old[5] and new[5]), reverse=True
    )
    slow = [sum(1 for pair in pairs if pair[side][6] == "slow") for side in (0, 1)]
    section = Section(
        title="Before and after",
        how=(
            "The table above on another commit and on this one: the same emails, the same machine, one run after the other. "
            "`of it` is this commit's processor time as a share of the other's, the largest first."
        ),
        command="make bench-analytics ARGS=--before=OTHER/docs/benchmarks.md",
    )
    rows = [(new[0], new[1], new[2], old[5], new[5], f"{ratio:.2f}", old[4], new[4]) for ratio, old, new in ratios]
    head = ("board", "query", "campaigns", "CPU ms before", "CPU ms", "of it", "p95 ms before", "p95 ms")
    section.tables.append(Table(head, rows))
    section.remarks.append(
        f"Of {len(ratios)} questions the median takes {median(ratio for ratio, _, _ in ratios):.2f} of the processor time "
        f"that it took. Slow at p95: {slow[0]} before, {slow[1]} now."
    )
    missing = sorted({row[1] for row in after} - {new[1] for _, new in pairs})
    if missing:
        section.remarks.append(f"Not asked before: {', '.join(missing)}.")
    return section
