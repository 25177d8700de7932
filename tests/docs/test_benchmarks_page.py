"""A section of docs/benchmarks.md that was measured by itself takes the place of its own, and of nothing else."""

from __future__ import annotations

import pytest

from tests.bench.figures import Section
from tests.bench.page import keep_part, render, replace_sections


def section(title: str, figure: str) -> Section:
    return Section(title, "How it was measured.", "make bench", remarks=[f"It was {figure}."])


def test_one_section_is_replaced_and_the_others_stay() -> None:
    page = render([("Date", "then")], [section("Idle", "3 %"), section("Memory", "8 MiB")])
    page = keep_part(page, section("Boards", "100 ms"))
    found = replace_sections(page, [section("Idle", "2 %")], "Measured by itself.")
    assert found == page.replace("- It was 3 %.\n", "- It was 2 %.\n- Measured by itself.\n")
    last = replace_sections(page, [section("Memory", "1 MiB")], "Measured by itself.")
    assert last == page.replace("- It was 8 MiB.\n", "- It was 1 MiB.\n- Measured by itself.\n")


def test_a_page_without_the_section_is_refused() -> None:
    with pytest.raises(ValueError, match="no section 'Idle'"):
        replace_sections(render([], []), [section("Idle", "2 %")], "")
