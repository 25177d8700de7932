"""`sendlens doctor` as a process of its own, and its findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT, free_port

KEYS = "1:0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Told:
    """What it said: its exit code, and each finding as (verdict, what was found, what to do), by check."""

    code: int
    verdict: str
    findings: list[tuple[str, str, str, str]]

    def of(self, check: str) -> list[tuple[str, str, str]]:
        return [(verdict, said, todo) for name, verdict, said, todo in self.findings if name == check]


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Settings under which nothing is there, but for those given."""
    bare: dict[str, object] = {
        "data_dir": folder / "data",
        "senders": folder / "senders.toml",
        "kafka": f"127.0.0.1:{free_port()}",
        "clickhouse_url": f"http://127.0.0.1:{free_port()}",
        "public_url": f"http://127.0.0.1:{free_port()}",
        "token_keys": KEYS,
    }
    return {f"SENDLENS_{name.upper()}": str(value) for name, value in (bare | settings).items()}


def doctor(env: Mapping[str, str], *only: str, timeout: float = 120) -> Told:
    """Run these checks, or all; no mail is sent."""
    words = [word for name in only for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", "doctor", "--json", "--no-mail", *words],
        cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    return Told(
        done.returncode,
        told["verdict"],
        [(one["check"], one["verdict"], one["said"], one["todo"]) for one in told["findings"]],
    )
