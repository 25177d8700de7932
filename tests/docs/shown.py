"""Takes documents apart: their fenced blocks, the command lines in them, what stands in backticks, their links."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Command:
    """A command line after a `$` prompt, continued lines included, and what it is shown to print."""

    text: str
    output: str

    def calls(self) -> Iterator[list[str]]:
        """The words of each call in it; comments, assignments and redirections are left out."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        call: list[str] = []
        redirected = False
        for word in lexer:
            if set(word) <= set("|&;"):
                yield call
                call = []
            elif set(word) <= set("<>"):
                redirected = True
            elif redirected:
                redirected = False
            elif call or not _ASSIGNMENT.fullmatch(word):
                call.append(word)
        if call:
            yield call


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages."""
    return [body for language, body in _BLOCK.findall(text) if language in languages]


def commands(text: str) -> list[Command]:
    """Every command of the `console` blocks."""
    found = []
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            end = 1
            while _is_open("".join(lines[:end])):
                end += 1
            found.append(Command("".join(lines[:end]).strip(), "".join(lines[end:]).rstrip("\n")))
    return found


def in_backticks(text: str) -> list[str]:
    """What stands in backticks outside of fenced blocks, also where a line ends within."""
    return [" ".join(code.split()) for code in _CODE.findall(_BLOCK.sub("", text))]


def links(text: str) -> list[tuple[str, str]]:
    """The files of ours that it links to, each with its anchor; no file for an anchor of its own, "" for no anchor."""
    found = [link for link in _LINK.findall(_BLOCK.sub("", text)) if "://" not in link]
    return [(file, anchor) for file, _, anchor in (link.partition("#") for link in found)]


def anchors(text: str) -> set[str]:
    """The anchors of its headings, as GitHub makes them: lower case, blanks to hyphens, punctuation left out."""
    found: set[str] = set()
    for heading in _HEADING.findall(_BLOCK.sub("", text)):
        name = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        again = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(1)))
        found.add(next(each for each in again if each not in found))
    return found


def documents(root: Path) -> list[Path]:
    """Every document of the project."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def _is_open(text: str) -> bool:
    """Whether a quote is not closed yet."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False
