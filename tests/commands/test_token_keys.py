"""Rotating token keys by the command: between two steps, no process meets a link that it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from clickhouse.samples import Sampler
from schemas.settings import Settings, load
from schemas.tokens import Claim, Keyring, Purpose
from tests.commands.test_command import sendlens
from tests.support.migrated import start_migrated
from tests.support.waiting import wait_until

CLAIM = Claim(uuid4(), "spring", 1, "A", "lead", 1_700_000_000)


@pytest.fixture
def given(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An installation on a data folder of its own, whose ClickHouse runs."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    server = start_migrated(data / "clickhouse")
    try:
        yield {"data_dir": str(data), "clickhouse_url": server.url, "sample_seconds": "3"}
    finally:
        server.stop()


def settings_of(given: dict[str, str]) -> Settings:
    return load(**given)


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """What an ingest and a worker with these settings report of themselves."""
    samplers = []
    for role in ("ingest", "worker"):
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        samplers.append(Sampler(settings, role, registry))  # type: ignore[arg-type]
        samplers[-1].start()
    try:
        yield
    finally:
        for sampler in samplers:
            sampler.stop()


def said(*words: str, **given: str) -> str:
    done = sendlens("token-keys", *words, **given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def known(given: dict[str, str]) -> dict[str, tuple[str, int, int]]:
    """What `list` says of each key: what it does, and how many processes of how many know it."""
    rows = re.findall(r"^(\d+) +(\w+) +[0-9a-f]{16}  known to (\d+) of (\d+)", said("list", **given), re.MULTILINE)
    return {key: (does, int(some), int(of)) for key, does, some, of in rows}


def test_a_key_verifies_everywhere_before_it_signs(given: dict[str, str]) -> None:
    before = settings_of(given)
    with running(before):
        wait_until(lambda: known(given) == {"1": ("signs", 2, 2)}, 60, "both processes to report")
        said("add", **given)
        added = settings_of(given)
        assert known(given) == {"1": ("signs", 2, 2), "2": ("verifies", 0, 2)}
        refused = sendlens("token-keys", "sign", "2", **given)
        assert refused.returncode == 2
        assert re.search(r"ingest \S+, worker \S+ would answer its links with 404", refused.stderr)
        assert settings_of(given).token_keys == added.token_keys
    with running(added):
        wait_until(lambda: known(given)["2"] == ("verifies", 2, 2), 60, "both processes to start again")
        said("sign", "2", **given)
    after = settings_of(given)
    assert [state.token_keys.count(",") for state in (before, added, after)] == [0, 1, 1]
    assert after.token_keys.startswith("2:")
    for old, new in pairwise(state.keyring for state in (before, added, after)):  # of which both kinds run at once
        for signs, verifies in ((old, new), (new, old)):
            assert verifies.verify(Purpose.CLICK, signs.sign(Purpose.CLICK, CLAIM)) == CLAIM
    assert after.keyring.fingerprints().keys() == {"2", "1"}


def test_keys_of_the_environment_are_the_operators_to_set(given: dict[str, str]) -> None:
    keys = "1:0123456789abcdef0123456789abcdef"
    added = re.findall(r"^  ,(\d+:[0-9a-f]{64})$", said("add", **given, token_keys=keys), re.MULTILINE)
    assert len(added) == 1
    assert not (Path(given["data_dir"]) / "token_keys").exists()
    Keyring.parse(f"{keys},{added[0]}")
    assert "in this order: 2, 1" in said("sign", "2", "--unchecked", **given, token_keys=f"{keys},{added[0]}")
    missing = sendlens("token-keys", "sign", "9", **given, token_keys=keys)
    assert (missing.returncode, "there is no key 9" in missing.stderr) == (2, True)
