"""Tells whether a command line that some document shows is one that `sendlens` or `make` would take."""

from __future__ import annotations

import re
from typing import Any

import typer.main

import sendlens
from tests.support.processes import ROOT

TARGET = re.compile(r"^([a-z-]+):.*?## (.+)$", re.MULTILINE)


def targets() -> dict[str, str]:
    """The targets of the Makefile that say what they do."""
    return dict(TARGET.findall((ROOT / "Makefile").read_text()))


def complaint(words: list[str]) -> str | None:
    """What is wrong with `sendlens WORDS`, None when it would run."""
    command: Any = typer.main.get_command(sendlens.app)
    said = "sendlens"
    rest = list(words)
    while hasattr(command, "commands"):
        if not rest:
            return f"{said} needs a command"
        name = rest.pop(0)
        if name == "--help":
            return None
        if name not in command.commands:
            return f"{said} has no command {name}"
        command = command.commands[name]
        said = f"{said} {name}"
    if rest == ["--help"]:
        return None
    try:
        command.make_context(said, rest)
    except Exception as error:  # typer's own copies of click's errors, which it does not export
        return f"{said}: {getattr(error, 'message', error)}"
    return None


def commands() -> dict[str, str]:
    """Every command of `sendlens`, with the first line of its help."""

    def walk(group: Any, path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                found |= walk(command, f"{path}{name} ")
            else:
                found[f"{path}{name}"] = (command.help or "").split("\n")[0]
        return found

    return walk(typer.main.get_command(sendlens.app), "")
