"""docs/logs.md has every line that is logged as a warning or an error, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.test_house import OURS
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "logs.md").read_text()
LEVELS = ("warning", "error", "exception", "critical")


def logged() -> Iterator[str]:
    """The text of each line, up to what varies in it."""
    for name, text in OURS:
        if name.endswith(".py") and not name.startswith("tests/"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                    whose, said = node.func.value, node.args[0] if node.args else None
                    if isinstance(whose, ast.Name) and whose.id == "log" and isinstance(said, ast.Constant):
                        yield re.split(r" \w+=%| %", str(said.value))[0]


def test_every_line_that_is_logged_says_what_it_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", TEXT, re.MULTILINE)
    lines = [row for row in rows if row not in ("line", "---")]
    assert set(logged()) - set(lines) == set(), "add a row to docs/logs.md"
    assert set(lines) - set(logged()) == set(), "no longer logged: take the row out of docs/logs.md"
    assert len(lines) == len(set(lines))
