"""What `load` accepts, refuses and makes up; and what it never says aloud."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from schemas.settings import load
from schemas.tokens import Keyring
from tests.support.processes import ROOT

KEYS = "2:" + "n" * 32 + ",1:" + "o" * 32
SECRET = "do-not-say-this-aloud"
STARTS_AT_ONCE = 8


@pytest.fixture(autouse=True)
def _bare_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of the developer's machine is seen."""
    import os

    for name in list(os.environ):
        if name.upper().startswith("SENDLENS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_environment_is_read_with_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDLENS_PARTITIONS", "3")
    assert load().partitions == 3


def test_a_dot_env_file_is_read_and_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SENDLENS_PARTITIONS=3\nSENDLENS_REPLICATION=2\nGRAFANA_ADMIN_PASSWORD=x\n")
    monkeypatch.setenv("SENDLENS_PARTITIONS", "4")
    settings = load()
    assert (settings.partitions, settings.replication) == (4, 2)


def test_a_cluster_without_signing_keys_refuses() -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_TOKEN_KEYS"):
        load(mode="cluster", api_key="k" * 22)


def test_a_cluster_without_an_api_key_refuses() -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_API_KEY"):
        load(mode="cluster", token_keys=KEYS)


def test_a_cluster_makes_no_key_up(tmp_path: Path) -> None:
    load(mode="cluster", token_keys=KEYS, api_key="k" * 22)
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.com"])  # to be refused
def test_beyond_loopback_nothing_starts_without_an_api_key(host: str) -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_API_KEY"):
        load(ingest_host=host)
    assert load(ingest_host=host, api_key="k" * 22).ingest_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_no_api_key_is_needed(host: str) -> None:
    assert load(ingest_host=host).api_key == ""


def test_the_made_up_key_is_the_same_at_the_next_start(tmp_path: Path) -> None:
    first = load(data_dir=tmp_path / "data").token_keys
    assert load(data_dir=tmp_path / "data").token_keys == first
    assert len(first.removeprefix("1:")) == 64
    assert load(data_dir=tmp_path / "other").token_keys != first


def test_the_made_up_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    load(data_dir=tmp_path / "data")
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "data").iterdir()}
    # And nothing is left beside them.
    assert files == dict.fromkeys(("token_keys", "clickhouse_password", "clickhouse_reader_password"), 0o600)


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    code = "from schemas.settings import load; import sys; print(load(data_dir=sys.argv[1]).token_keys)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "data")], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(STARTS_AT_ONCE)
    ]
    keys = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0] * STARTS_AT_ONCE
    assert len(keys) == 1
    assert keys != {b""}


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="SENDLENS_DATA_DIR"):
        load(data_dir=tmp_path / "file" / "data")


def test_old_keys_still_verify_and_the_first_signs() -> None:
    assert list(load(token_keys=KEYS).keyring.keys) == [2, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partitions", 0),
        ("partitions", "many"),
        ("mode", "both"),
        ("ingest_port", 70_000),
        ("public_url", "ftp://example.com"),
        ("public_url", "https://"),
        ("public_url", "https://example.com/?x=1"),
        ("clickhouse_url", "localhost:8123"),
        ("clickhouse_database", "x; DROP TABLE events"),
        ("smtp_tls", "maybe"),
        ("settle_seconds", -1),
    ],
)
def test_a_wrong_value_names_its_setting(name: str, value: object) -> None:
    with pytest.raises(Misconfigured, match=f"SENDLENS_{name.upper()}"):
        load(**{name: value})


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(Misconfigured) as error:
        load(partitions=0, store_rows=0)
    assert "SENDLENS_PARTITIONS" in str(error.value)
    assert "SENDLENS_STORE_ROWS" in str(error.value)


@pytest.mark.parametrize(
    "keys",
    [
        SECRET,
        f"one:{SECRET}",
        f"300:{SECRET}",
        f"1:{SECRET},1:{SECRET}",
        "1:tooshort",
        f":{SECRET}",
        f"-1:{SECRET}",
        ",",
    ],
)
def test_wrong_signing_keys_are_refused_and_not_repeated(keys: str) -> None:
    with pytest.raises(Misconfigured) as error:
        load(token_keys=keys)
    assert "SENDLENS_TOKEN_KEYS" in str(error.value)
    assert SECRET not in str(error.value)
    assert "tooshort" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_wrong_value_beside_secrets_does_not_tell_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN_KEYS", "API_KEY", "SMTP_PASSWORD", "CLICKHOUSE_PASSWORD"):
        monkeypatch.setenv(f"SENDLENS_{name}", f"1:{SECRET}")
    with pytest.raises(Misconfigured) as error:
        load(partitions=0)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("url", ["https://t.example.com", "http://127.0.0.1:8080", "https://example.com/track"])
def test_a_public_url_loses_its_last_slash_and_nothing_else(url: str) -> None:
    assert load(public_url=f"{url}/").public_url == url


def test_kafka_servers_are_separated_by_commas() -> None:
    assert load(kafka="a:9092, b:9092,").kafka_servers == ["a:9092", "b:9092"]


@pytest.mark.parametrize("servers", ["kafka", "kafka_1.example.com:9092", "[::1]:9092", "192.0.2.7:65535"])
def test_kafka_is_where_a_host_is_named(servers: str) -> None:
    assert load(kafka=servers).kafka == servers


@pytest.mark.parametrize(
    "servers",
    [*("", " , ", "kafka:", ":9092", "kafka:x", "kafka:0", "kafka:65536", "::1:9092", "a:9092 b:9092", "a:9092/x"),
     f"sendlens:{SECRET}@kafka:9092"],
)  # fmt: skip
def test_what_is_no_place_of_kafka_is_refused(servers: str) -> None:
    with pytest.raises(Misconfigured, match=r"SENDLENS_KAFKA: .*must be host:port") as refused:
        load(kafka=servers)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SSL", "PLAINTEXT", "tcp", "kafka"])
def test_a_protocol_of_kafka_is_refused_with_the_reason(protocol: str) -> None:
    with pytest.raises(Misconfigured, match=r"SENDLENS_KAFKA: .*without TLS and SASL") as refused:
        load(kafka=f"{protocol}://sendlens:{SECRET}@kafka:9092")
    assert SECRET not in str(refused.value)


def test_settings_do_not_change_after_they_were_read() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.partitions = 5


def test_the_keyring_is_that_of_the_keys() -> None:
    assert load(token_keys=KEYS).keyring == Keyring.parse(KEYS)
