"""docs/change.md: each file and each test that it names is there, and no request takes more than four files."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.test_figures import Record
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "change.md").read_text()
ROWS = {
    request.strip(): (files.strip(), forgotten.strip())
    for request, files, forgotten in re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    if request != "request"
}
MOST_FILES = 4


def paths(files: str) -> list[str]:
    """The files and folders that are named, those that a command writes left out."""
    by_hand = re.sub(r"`(python|make)[^`]*` writes .*", "", files)
    return [name for name in re.findall(r"`([^`]+)`", by_hand) if "/" in name or "." in name]


def test_the_twelve_requests_of_a_newcomer_are_answered(record_property: Record) -> None:
    most = max(len(paths(files)) for files, _ in ROWS.values())
    record_property("figure", f"files for one of {len(ROWS)} requests (at most {MOST_FILES}): {most}")
    assert len(ROWS) == 12
    for request, (files, _) in ROWS.items():
        assert 1 <= len(paths(files)) <= MOST_FILES, request


@pytest.mark.parametrize("request_", ROWS)
def test_the_files_of_a_request_are_there(request_: str) -> None:
    files, _ = ROWS[request_]
    for name in paths(files):
        if f"`{name}` (new:" in files:
            assert not (ROOT / name).exists(), f"{name} is not new any more"
            assert (ROOT / name).parent.exists(), name
        else:
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("request_", ROWS)
def test_a_request_has_a_test_that_reminds(request_: str) -> None:
    assert "::test_" in ROWS[request_][1]


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", TEXT))))
def test_a_test_that_is_named_is_there(named: str) -> None:
    file, _, test = named.partition("::")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, functions)}
    assert test in tests
