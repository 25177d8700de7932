"""docs/security.md promises nothing without a command, and each command runs tests that are there."""

from __future__ import annotations

import re

from tests.docs.shown import commands
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
_WITHOUT = {
    "API keys are not tenants",
    "What a leaked unsubscribe URL can do",
    "What is not promised",
    "Report a fault",
}


def test_every_test_that_a_command_runs_is_there() -> None:
    named = [word for command in commands(TEXT) for word in command.text.split() if word.startswith("tests/")]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_promise_has_its_command() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    bare = {section.partition("\n")[0] for section in sections if not commands(section)}
    assert bare == _WITHOUT


def test_every_test_of_security_is_told_of() -> None:
    there = {path.name for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert {name for name in there if name not in TEXT} == set()
