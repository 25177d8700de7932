"""`make audit`: pip-audit over both lock files. Exits 0 when nothing is known, 1 when something is, 3 when somebody
could not be asked, which says nothing of the packages."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.processes import ROOT

LOCKS = ("requirements.lock", "requirements-cluster.lock", "requirements-demo.lock")
# In an environment of its own, which uv makes: none of what it needs is ours to ship.
TOOL = ("uv", "tool", "run", "--from", "pip-audit==2.10.1", "pip-audit")
SECONDS = 600
FOUND, UNREACHABLE = 1, 3


def main() -> int:
    return max(map(audit, LOCKS), key=(0, UNREACHABLE, FOUND).index)


def audit(lock: str) -> int:
    """Ask for one lock file, tell what was answered, and return how `make audit` is to end."""
    uv, *tool = TOOL
    # Pinned with hashes and dependencies, so nothing is resolved, downloaded or installed.
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "-r", lock)
    try:
        done = subprocess.run(
            [f"{ROOT}/.venv/bin/{uv}", *tool, *options], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
        )
        answer = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return _told(lock, UNREACHABLE, f"NOT AUDITED: no answer within {SECONDS} s")
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return _told(lock, UNREACHABLE, f"NOT AUDITED: {why}")
    return _told(lock, *verdict(answer))


def verdict(answer: list[dict[str, Any]]) -> tuple[int, str]:
    """The exit code and the words for what pip-audit says of each package. One that the database does not have was not
    audited: a mirror of PyPI without its database answers so for all."""
    known = [
        f"{package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'none'}"
        for package in answer
        for fault in package.get("vulns", ())
    ]
    skipped = [package["name"] for package in answer if "skip_reason" in package]
    lines = [f"{len(answer) - len(skipped)} packages audited, {len(known)} known vulnerabilities", *known]
    if skipped:
        named = "all of them" if len(skipped) == len(answer) else ", ".join(skipped)
        lines.append(f"NOT AUDITED, for PyPI's database can't be reached or has them not: {named}")
    return FOUND if known else UNREACHABLE if skipped else 0, "\n  ".join(lines)


def _told(lock: str, code: int, words: str) -> int:
    print(f"{lock}: {words}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
