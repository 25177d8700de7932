"""Writes what was measured as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tests.bench.figures import Ratio, Section, Table

_INTRO = """# Benchmarks

Written by `make bench`; edit `tests/bench/` instead. Figures are medians over the rounds of one run, and the spread is
largest less smallest as a share of the median. Absolute figures belong to the machine below. The ratios are what
counts: both sides of each ran in this run, one after the other, in the same arrangement.

"Per CPU second" divides by the processor time that the process got instead of by the clock. "Core used" is that time
as a share of the clock's, "by others" what everybody else took of the same core meanwhile: where that is not near 0,
the figures by the clock, and latencies most of all, say as much about the neighbours as about us.
"""


def render(machine: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole page."""
    parts = [_INTRO, _table(Table(("machine", ""), machine))]
    parts += [_section(section) for section in sections]
    return "\n".join(parts)


# What `make bench-analytics` writes stands at the end, after these lines, and `make bench` leaves it there.
_APART = "<!-- make bench-analytics -->\n"
_NEXT = re.compile(r"^(## |<!-- )", re.MULTILINE)
_COMPARED = "<!-- make bench-analytics, beside another commit -->\n"


def keep_part(page: str, section: Section | None = None, *, compared: bool = False) -> str:
    """The page with this section as its own part, or as the one beside another commit. Without one: these parts of the
    page, as they are."""
    whole, mark, parts = page.partition(_APART)
    if section is None:
        return mark + parts
    part, _, beside = parts.partition(_COMPARED)
    if compared:
        beside = "\n" + _section(section)
    else:
        part = "\n" + _section(section)
    return f"{whole.rstrip()}\n\n{_APART}\n{part.strip()}\n" + (f"\n{_COMPARED}\n{beside.strip()}\n" if beside else "")


def replace_sections(page: str, sections: Sequence[Section], told: str) -> str:
    """The page with these sections in the places of their own of before, each with what is told of the run that
    measured them. Raises ValueError where the page has none of that title."""
    for section in sections:
        before, title, rest = page.partition(f"## {section.title}\n")
        if not title:
            raise ValueError(f"the page has no section {section.title!r}: the whole run writes it")
        after = _NEXT.search(rest)
        text = _section(replace(section, remarks=[*section.remarks, told]))
        page = before + text + ("\n" + rest[after.start() :] if after else "")
    return page


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n", f"{section.how}\n", f"`{section.command}`\n"]
    parts += [_table(table) for table in section.tables]
    if section.ratios:
        head = ("ratio", "median", "least-most", "wanted", "")
        parts.append(_table(Table(head, [_ratio(ratio) for ratio in section.ratios])))
    parts += [f"- {remark}" for remark in (*section.missing, *section.remarks)]
    return "\n".join(parts) + "\n"


def _ratio(ratio: Ratio) -> tuple[str, ...]:
    low, high = min(ratio.samples.values), max(ratio.samples.values)
    wanted = "" if ratio.target is None else f"at least {ratio.target:g}"
    return ratio.what, f"{ratio.samples.middle:.2f}", f"{low:.2f}-{high:.2f}", wanted, ratio.verdict


def _table(table: Table) -> str:
    rows = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
