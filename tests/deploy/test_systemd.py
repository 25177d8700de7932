"""The units: systemd takes them, each runs a command that is there, and what it may touch is little."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from schemas.settings import Settings
from schemas.settings.table import variable
from tests.docs.command import complaint
from tests.support.processes import ROOT

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
TIMERS = sorted(path.name for path in FOLDER.glob("*.timer"))
_ANALYZE = shutil.which("systemd-analyze")
# What systemd brings itself; units of ours are ordered by these.
_THEIRS = ("sysinit", "basic", "shutdown", "network-online", "multi-user", "timers", "time-sync", "time-set")
_MOST_EXPOSED = 2.0  # of 10; an unhardened service has 9.6


def analyze(root: Path, *arguments: str) -> str:
    if _ANALYZE is None:
        pytest.skip("no systemd-analyze here: on Debian, apt-get install systemd")
    done = subprocess.run(
        [_ANALYZE, arguments[0], f"--root={root}", *arguments[1:]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with the units where docs/deploy.md puts them."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(FOLDER, root / "etc/systemd/system")
    for name in _THEIRS:
        (root / f"etc/systemd/system/{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    program = root / "opt/sendlens/.venv/bin/sendlens"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return root


def test_systemd_takes_the_units_without_a_word(root: Path) -> None:
    names = [name.replace("@.", "@1.") for name in UNITS]
    assert analyze(root, "verify", "sendlens.target", *names, *TIMERS) == ""


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_little_exposed(root: Path, unit: str) -> None:
    said = analyze(root, "security", "--offline=true", unit.replace("@.", "@1."))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found, said
    assert float(found[1]) <= _MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_a_command_that_is_there_and_keeps_its_data_where_it_may_write(unit: str) -> None:
    text = (FOLDER / unit).read_text()
    program, *words = shlex.split(re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)[0])
    assert program == "/opt/sendlens/.venv/bin/sendlens"
    assert complaint(words) is None
    (kept,) = re.findall(r"^StateDirectory=(.+)$", text, re.MULTILINE)
    assert f"Environment=SENDLENS_DATA_DIR=%S/{kept}\n" in text


def test_every_setting_that_is_named_is_one() -> None:
    known = {variable(name) for name in Settings.model_fields}
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert set(re.findall(r"\bSENDLENS_[A-Z_]+\b", path.read_text())) <= known, path.name


def test_the_example_says_all_that_the_cluster_form_cannot_do_without() -> None:
    given = set(re.findall(r"^(SENDLENS_\w+)=", (FOLDER / "sendlens.env.example").read_text(), re.MULTILINE))
    needed = set(re.findall(r"\$\{(SENDLENS_\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert needed
    assert needed <= given
