"""The inputs that fuzzing begins with and that are replayed in every test run: a file a target, a base64 text a line.

Those that once crashed something are added by `make fuzz`, and stay.
"""

from __future__ import annotations

import base64
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def inputs(target: str) -> list[bytes]:
    lines = _file(target).read_text("ascii").splitlines()
    return [base64.b64decode(line, validate=True) for line in lines if not line.startswith("#")]


def keep(target: str, data: bytes) -> None:
    """Add an input, unless it is there."""
    line = base64.b64encode(data).decode()
    text = _file(target).read_text("ascii") if _file(target).exists() else ""
    if line not in text.splitlines():
        _file(target).write_text(f"{text}{line}\n", "ascii")


def _file(target: str) -> Path:
    return FOLDER / f"{target}.txt"
