"""`.ci/run`: its log ends with what could not be brought and what was skipped, and neither fails it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.processes import ROOT

SKIPPED = "SKIPPED [1] tests/clients/test_generated.py:95: openapi-typescript is not here: `make clients` brings it"
# A machine whose user may install nothing, and on which every command of the script is one of these.
STAND_INS = {"id": "echo 1000", "python": "exit 1"}


def run(folder: Path, **targets: str) -> tuple[int, list[str]]:
    """The script's exit code and its lines, where `make TARGET` is one of these scripts."""
    programs = folder / "programs"
    cases = " ".join(f"{name.replace('_', '-')}) {script} ;;" for name, script in targets.items())
    for name, script in {**STAND_INS, "make": f'case "$1" in {cases} esac'}.items():
        file = (folder / ".venv" / "bin" if name == "python" else programs) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    done = subprocess.run(
        [folder / ".ci" / "run"], env={"PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_what_could_not_be_brought_and_was_skipped_stands_at_the_end(tmp_path: Path) -> None:
    code, said = run(
        tmp_path,
        kafka="echo 'bring.py: repo.maven.example does not answer'; echo 'make: *** [kafka] Error 1' >&2; exit 2",
        clients="echo 'npm error network'; echo 'make[1]: *** [x] Error 1'; echo 'Left out: openapi/ready'; echo 'Left out: y'",
        test=f"printf '%s\\n' '{SKIPPED}' '12 passed, 1 skipped'",
    )
    assert code == 0
    assert said[said.index("Fuller tests that did not run, and why:") + 1 :] == [
        "  not brought: make kafka: bring.py: repo.maven.example does not answer",
        "  not brought: make clients, openapi/ready: npm error network",
        "  not brought: make clients, y: ",
        f"  {SKIPPED}",
    ]


def test_where_all_is_there_it_says_so(tmp_path: Path) -> None:
    code, said = run(tmp_path, test="echo 13 passed")
    assert (code, said[-1]) == (0, "No test was skipped, and nothing was left out.")


def test_what_fails_fails_it_and_the_end_is_the_same(tmp_path: Path) -> None:
    code, said = run(tmp_path, deploy_tools="echo no go; exit 2", test="exit 1")
    assert (code, said[-1]) == (1, "  not brought: make deploy-tools: no go")
    assert "Failed above; each of these once more, by itself:" in said
