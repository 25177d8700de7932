"""Takes documents apart: their fenced blocks, the command lines in them, what stands in backticks, their links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
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
    """What stands in backticks outside of fenced blocks."""
    return _CODE.findall(_BLOCK.sub("", text))


def links(text: str) -> list[str]:
    """The files of ours that it links to, without their anchors."""
    outside = _BLOCK.sub("", text)
    return [link.partition("#")[0] for link in _LINK.findall(outside) if "://" not in link and not link.startswith("#")]


def documents(root: Path) -> list[Path]:
    """Every document of the project."""
    return sorted([*root.glob("*.md"), *root.glob("docs/*.md")])


def _is_open(text: str) -> bool:
    """Whether a quote is not closed yet."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False
