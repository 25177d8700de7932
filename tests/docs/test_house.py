"""What holds for every file of the house, and for every function in it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

LONGEST = 400
MOST_BRANCHES = 15
# What makes a function go one way or the other; of `and` and `or` each operand but the first.
_BRANCHES = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While),
    *(ast.ExceptHandler, ast.match_case, ast.Assert, ast.comprehension),
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
WRITTEN_BY_OTHERS = ("dashboards/page/static/vendor/", "LICENSE")
GENERATED = (
    "requirements.lock",
    "requirements-cluster.lock",
    "requirements-demo.lock",
    "dashboards/dist/",
    "schemas/json/",
)
# In pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/<-])/(work|home|Users|root|mnt|private)/\w")
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[bap]-[0-9A-Za-z-]{10}"
)


def files() -> list[Path]:
    """Every file that is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def ours() -> list[tuple[str, str]]:
    """Name and text of every text file that we wrote."""
    found = []
    for path in files():
        name = str(path.relative_to(ROOT))
        if name.startswith((*WRITTEN_BY_OTHERS, *GENERATED)):
            continue
        try:
            found.append((name, path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


OURS = ours()


def test_there_is_something_to_look_at() -> None:
    assert len([name for name, _ in OURS if name.endswith(".py")]) > 50


def test_no_file_is_longer_than_a_sitting() -> None:
    long = {name: text.count("\n") for name, text in OURS if name.endswith(".py") and text.count("\n") > LONGEST}
    assert not long


def branches(function: ast.AST) -> int:
    """The branches of a function, without those of functions and classes inside it."""
    found = 0
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, _SCOPES):
            continue
        found += isinstance(node, _BRANCHES)
        if isinstance(node, ast.comprehension):
            found += len(node.ifs)
        if isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        waiting += ast.iter_child_nodes(node)
    return found


def functions() -> Iterator[tuple[int, str]]:
    """Each function of the rooms, tests aside, with its branches."""
    for name, text in OURS:
        if name.endswith(".py") and not name.startswith("tests/"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield branches(node), f"{name}:{node.lineno} {node.name}"


def test_branches_are_counted() -> None:
    source = "def f(a, b):\n    if a and b or a:\n        return [x for x in a if x]\n    def g():\n        assert b\n"
    assert branches(ast.parse(source).body[0]) == 5


def test_a_function_with_more_branches_is_a_table_that_was_not_written(
    record_property: Callable[[str, object], None],
) -> None:
    counted = sorted(functions(), reverse=True)
    most = ", ".join(f"{where} {count}" for count, where in counted[:3])
    record_property("figure", f"branches of a function (at most {MOST_BRANCHES}): {most}")
    assert not [each for each in counted if each[0] > MOST_BRANCHES]


def test_nothing_is_left_for_later_in_a_comment() -> None:
    assert not [f"{name}: {found[0]}" for name, text in OURS if (found := UNFINISHED.search(text))]


def test_no_path_of_one_machine_is_written_down() -> None:
    assert not [f"{name}: {found[0]}" for name, text in OURS if (found := MACHINE_PATH.search(text))]


def test_no_secret_is_in_the_repository() -> None:
    assert not [name for name, text in OURS if SECRET.search(text)]
    assert not [name for name, _ in OURS if Path(name).name == ".env"]


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, text in OURS
        if name.endswith(".py") and text.strip() and not text.startswith(('"""', 'r"""', "#!/"))
    ]
    assert not silent


def test_files_end_with_one_newline_and_lines_with_none_but_it() -> None:
    for name, text in OURS:
        if text and not name.endswith((".eml", ".svg")):
            assert text.endswith("\n"), name
            assert "\r" not in text or name.startswith("tests/corpus/"), name


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "README.md", ".env.example", "docs/architecture.md"])
def test_what_every_project_has_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 200


def test_the_licence_is_apaches_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert len(text) == 11_358
    assert text.lstrip().startswith("Apache License\n")
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright [yyyy] [name of copyright owner]" in text


def test_the_changelog_is_kept() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert headings
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
