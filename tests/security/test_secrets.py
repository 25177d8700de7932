"""The data folder and the passwords of the embedded ClickHouse: made once, its owner's alone, the same for everybody."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clickhouse.store import connect
from schemas.errors import Misconfigured
from schemas.settings import Settings, kept_keyring, load
from tests.support.installation import environment, running
from tests.support.processes import ROOT, Process
from tests.support.waiting import wait_until

SECRETS = ("token_keys", "clickhouse_password", "clickhouse_reader_password")
AT_ONCE = 4
OF_SOMEBODY_ELSE = 12345


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SENDLENS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def secrets_of(settings: Settings) -> dict[str, str]:
    return {name: getattr(settings, name) for name in SECRETS}


def test_every_account_gets_a_password_of_its_own(tmp_path: Path) -> None:
    made = secrets_of(load(data_dir=tmp_path / "data"))
    assert len(set(made.values())) == len(SECRETS)
    assert all(len(secret) >= 32 for secret in made.values())
    assert secrets_of(load(data_dir=tmp_path / "data")) == made
    assert secrets_of(load(data_dir=tmp_path / "other")) != made


def test_the_folder_and_its_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    load(data_dir=tmp_path / "deep" / "data")
    assert mode(tmp_path / "deep" / "data") == 0o700
    assert {name: mode(tmp_path / "deep" / "data" / name) for name in SECRETS} == dict.fromkeys(SECRETS, 0o600)


@pytest.mark.parametrize("was", [0o755, 0o775, 0o777, 0o750])
def test_a_folder_of_an_earlier_version_is_closed(tmp_path: Path, was: int) -> None:
    folder = tmp_path / "data"
    first = load(data_dir=folder)
    folder.chmod(was)
    assert secrets_of(load(data_dir=folder)) == secrets_of(first)
    assert mode(folder) == 0o700


def test_passwords_that_are_set_are_used_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    monkeypatch.setenv("SENDLENS_CLICKHOUSE_PASSWORD", "writer's own")
    (tmp_path / ".env").write_text("SENDLENS_CLICKHOUSE_READER_PASSWORD=reader's own\n")
    settings = load(data_dir=folder)
    assert settings.clickhouse_password == "writer's own"
    assert settings.clickhouse_reader_password == "reader's own"
    assert [file.name for file in folder.iterdir()] == ["token_keys"]


def test_a_cluster_gets_no_password_made_up(tmp_path: Path) -> None:
    settings = load(mode="cluster", token_keys="1:" + "k" * 32, api_key="k" * 32, data_dir=tmp_path / "data")
    assert (settings.clickhouse_password, settings.clickhouse_reader_password) == ("", "")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620])
def test_a_secret_that_others_can_reach_is_refused_with_what_to_do(tmp_path: Path, name: str, bits: int) -> None:
    folder = tmp_path / "data"
    made = getattr(load(data_dir=folder), name)
    (folder / name).chmod(bits)
    with pytest.raises(Misconfigured, match=f"SENDLENS_DATA_DIR: .*chmod 600 .*{name}") as error:
        load(data_dir=folder)
    assert made not in str(error.value)
    (folder / name).chmod(0o600)
    assert getattr(load(data_dir=folder), name) == made


def test_an_empty_secret_is_refused_rather_than_no_password(tmp_path: Path) -> None:
    load(data_dir=tmp_path / "data")
    (tmp_path / "data" / "clickhouse_password").write_text("\n")
    with pytest.raises(Misconfigured, match=r"clickhouse_password is empty: restore it, or remove it"):
        load(data_dir=tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["", *SECRETS])
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    load(data_dir=folder)
    os.chown(folder / what, OF_SOMEBODY_ELSE, OF_SOMEBODY_ELSE)
    with pytest.raises(Misconfigured, match=f"SENDLENS_DATA_DIR: .*belongs to the user {OF_SOMEBODY_ELSE}"):
        load(data_dir=folder)


def test_a_folder_that_is_shared_by_design_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(Misconfigured, match="shared with others: name a folder within it"):
        load(data_dir=shared)
    assert mode(shared) == 0o1777


def test_a_key_that_others_can_read_is_not_taken_without_the_other_settings_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDLENS_DATA_DIR", str(tmp_path / "data"))
    load()
    assert kept_keyring() is not None
    (tmp_path / "data" / "token_keys").chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        kept_keyring()


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    code = f"from schemas.settings import load; s = load(data_dir='data'); print([getattr(s, n) for n in {SECRETS}])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
        for _ in range(AT_ONCE)
    ]
    said = {process.communicate(timeout=120)[0] for process in started}
    assert [process.returncode for process in started] == [0] * AT_ONCE
    assert len(said) == 1
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == sorted(SECRETS)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[dict[str, str], Process]]:
    """`sendlens up` as it comes, with nothing set but ports and folder, on a folder as an earlier version left it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    settings = environment(folder)
    before = os.umask(0o022)
    try:
        with running(["up"], settings, tmp_path / "up.log") as stack:
            yield settings, stack
    finally:
        os.umask(before)


@pytest.mark.timeout(300)
def test_a_whole_installation_lets_its_owner_in_and_nobody_else(
    up: tuple[dict[str, str], Process], tmp_path: Path
) -> None:
    settings, stack = up
    page, database = settings["SENDLENS_PUBLIC_URL"], settings["SENDLENS_CLICKHOUSE_URL"]

    def is_ready() -> bool:
        assert stack.popen.poll() is None, stack.output()
        try:
            return httpx.get(f"{page}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_ready, 120, "ingest")
    # The page needs no password, for anybody on this machine; and its numbers come from ClickHouse.
    assert httpx.get(page).status_code == 200
    # Of the accounts neither is open, under no password and under those of earlier versions.
    for login in (None, ("default", ""), ("default", "default"), ("reader", "reader"), ("reader", "")):
        assert httpx.post(database, content="SELECT 1", auth=login).headers["X-ClickHouse-Exception-Code"] == "516"
    # Its owner asks without looking anything up.
    asked = subprocess.run(
        [sys.executable, "-m", "sendlens", "sql", "SELECT currentDatabase(), count() FROM events", "--format", "TSV"],
        cwd=ROOT,
        # Not told of the port, which is another one than the settings have.
        env=os.environ | {"SENDLENS_DATA_DIR": settings["SENDLENS_DATA_DIR"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (asked.returncode, asked.stdout) == (0, "sendlens\t0\n"), asked.stderr
    with connect(load(data_dir=settings["SENDLENS_DATA_DIR"], clickhouse_url=database)) as writer:
        assert writer.command("SELECT count() FROM migrations") != 0
    stack.popen.send_signal(signal.SIGINT)
    assert stack.popen.wait(90) == 0, stack.output()
    # All that was written is its owner's alone.
    everything = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(everything) > 50
    assert [str(path) for path in everything if not path.is_symlink() and mode(path) & 0o077] == []
    # No secret was logged.
    kept = [(tmp_path / "data" / name).read_text().strip() for name in SECRETS]
    assert not any(secret in stack.output() for secret in kept)
    assert not (tmp_path / "data" / "clickhouse_url").exists()
