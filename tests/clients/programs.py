"""The real clients: programs in their own languages that `make clients` brings, and those that are here in Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.clients import python
from tests.clients.plan import Plan, Result
from tests.support.processes import ROOT

BUILT = ROOT / "build" / "clients"
_SECONDS = 150


@dataclass(frozen=True)
class Program:
    """One client in one version. `modes` are its ways to compress, as its plan names them."""

    name: str
    tool: str
    run: Callable[[Plan], list[Result]]
    built: Path | None
    modes: tuple[str, ...]
    command: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Why it cannot run here; empty when it can."""
        if self.tool and shutil.which(self.tool) is None:
            return f"no {self.tool} here for {self.name}"
        if self.built is not None and not self.built.exists():
            return f"{self.name} is not built: `make clients` brings it"
        return ""


def _command(*command: str) -> Callable[[Plan], list[Result]]:
    def run(plan: Plan) -> list[Result]:
        done = subprocess.run(
            command,
            input=plan.text(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=os.environ | {"TZ": "UTC"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [
            Result(one.get("columns") or [], one.get("rows") or [], one.get("error", ""))
            for one in json.loads(done.stdout)
        ]

    return run


def _go(name: str, binary: str) -> Program:
    path = BUILT / binary
    return Program(name, "", _command(str(path)), path, ("none", "gzip", "deflate", "br", "lz4", "zstd"))


def _jdbc(version: str) -> Program:
    folder = BUILT / f"jdbc-{version}"
    command = (
        "java",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        f"{folder}:{folder}/libs/*",
        "Program",
    )
    return Program(
        f"jdbc {version}", "java", _command(*command), folder / "Program.class", ("default", *PROPERTIES), command
    )


# JDBC's ways to compress, by a name of ours; `default` sets nothing.
PROPERTIES = {
    "plain": {"compress": "false"},
    "both ways": {"decompress": "true"},
    "http": {"client.use_http_compression": "true"},
}

# Grafana's ClickHouse datasource moved to 2.45 in April 2026 (its pull request 1788); what 4.20 has is at least that.
GO = _go("clickhouse-go", "go-current")
GO_PLUGIN = _go("clickhouse-go of the plugin", "go-plugin")
JDBC = (_jdbc("0.9.8"), _jdbc("0.10.0"))
NODE = Program(
    "@clickhouse/client",
    "node",
    _command("node", str(BUILT / "node" / "program.mjs")),
    BUILT / "node" / "program.mjs",
    ("none", "gzip"),
)
CONNECT = Program("clickhouse-connect", "", python.connect, None, ("none", "lz4", "zstd", "gzip"))
SQLALCHEMY = Program("SQLAlchemy", "", python.sqlalchemy, None, ("none", "lz4"))

ALL = (GO, GO_PLUGIN, *JDBC, NODE, CONNECT, SQLALCHEMY)
