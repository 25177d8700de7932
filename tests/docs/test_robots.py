"""docs/robots.md lists what the rules know by name today, and that is more than twenty robots."""

from __future__ import annotations

from decisions.robots.listed import page
from decisions.tables import rows
from tests.support.processes import ROOT


def test_the_page_is_todays() -> None:
    assert (ROOT / "docs" / "robots.md").read_text() == page(), "run `make robots`"


def test_twenty_robots_and_more_are_known_by_name() -> None:
    named = {row[4] for _, row in rows("agents.tsv", 6) if row[1] == "bot" and not row[4].startswith("@")}
    assert len(named) >= 20
