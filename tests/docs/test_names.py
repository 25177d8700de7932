"""One name for one thing: classes and modules of the house, and the words that neither they nor docstrings hold."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.docs.test_house import OURS

MODULES = [(name, ast.parse(text)) for name, text in OURS if name.endswith(".py") and not name.startswith("tests/")]
# Words of our own making for what engineers call otherwise: context, in-flight, rate limit, rollup, stale, version.
INVENTED = re.compile(
    r"Ahead(?!OfStore)|Apart|Asked|Asking|AtOnce|Carried|Company|Door|Fate|Handover|Held|Known|Lane|Outlet|Sharing"
    r"|Sight|Teller|Telling|Told|Touched|Turns"
)
# Phrases that a reader has to read twice.
ODD = re.compile(
    r"\b(whence|anew|[Ww]hoever|made over again|in what company|(is|was) put to (its|the) mail server"
    r"|(what|who|that|which) (is|are) none|nobody knows (what|whether))\b"
)


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class, with the file that it is in."""
    for name, tree in MODULES:
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_no_two_classes_have_one_name() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, node in classes():
        found[node.name].append(name)
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_a_name_of_a_file_is_used_twice_at_most() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, _ in MODULES:
        if not Path(name).name.startswith("__"):
            found[Path(name).name].append(name)
    assert {name: files for name, files in found.items() if len(files) > 2} == {}


def test_public_classes_bear_the_field_s_words() -> None:
    public = [(name, node.name) for name, node in classes() if not node.name.startswith("_")]
    assert [f"{name}: {word}" for name, word in public if INVENTED.search(word)] == []


def test_docstrings_are_plain_english() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    odd = []
    for name, tree in MODULES:
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, kinds) else None
            if text is not None and (found := ODD.search(" ".join(text.split()))):
                odd.append(f"{name}: {found[0]!r} in {text.splitlines()[0]!r}")
    assert odd == []
