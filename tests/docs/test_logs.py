"""docs/logs.md has every line that is logged as a warning or an error, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.docs.test_house import OURS
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "logs.md").read_text()
LEVELS = ("warning", "error", "exception", "critical")


# Fields that would hold what a record or a person says; `docs/logs.md` says that no line does.
PERSONAL = {"to", "address", "recipient", "lead", "email", "subject", "text", "detail"}


def calls(*levels: str) -> Iterator[ast.Call]:
    """Each line that is logged so."""
    for name, text in OURS:
        if name.endswith(".py") and not name.startswith("tests/"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels:
                    whose = node.func.value
                    if isinstance(whose, ast.Name) and whose.id == "log":
                        yield node


def logged() -> Iterator[str]:
    """The text of each warning and error, up to what varies in it."""
    for call in calls(*LEVELS):
        if call.args and isinstance(call.args[0], ast.Constant):
            yield re.split(r" \w+=%| %", str(call.args[0].value))[0]


def test_every_line_that_is_logged_says_what_it_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", TEXT, re.MULTILINE)
    lines = [row for row in rows if row not in ("line", "---")]
    assert set(logged()) - set(lines) == set(), "add a row to docs/logs.md"
    assert set(lines) - set(logged()) == set(), "no longer logged: take the row out of docs/logs.md"
    assert len(lines) == len(set(lines))


def test_no_line_has_a_field_for_a_recipient_or_a_text() -> None:
    fields = {word.arg for call in calls(*LEVELS, "info", "debug") for word in call.keywords}
    assert "mailbox" in fields
    assert fields & PERSONAL == set()
