"""The tools that `make deploy-tools` brings; a test without its tool is skipped, and says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT

BUILT = ROOT / "build" / "deploy"
SCHEMAS = BUILT / "schemas"


def run(name: str, *arguments: str, folder: Path | None = None, text: str | None = None) -> tuple[int, str]:
    """Run a tool; its exit code, and what it printed."""
    program = BUILT / name
    if not program.exists():
        pytest.skip(f"no {name} here: `make deploy-tools` brings it")
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout
