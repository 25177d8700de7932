"""Which broker runs on one machine: by the setting, and by what is there. Its node of Kafka is told what we promise."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import sendlens
import stack
from commands.broker import broker as command
from commands.broker.broker import check_broker, described
from commands.broker.kafka_node import KafkaNode
from schemas.errors import Misconfigured
from schemas.settings import Settings
from schemas.settings import settings as settings_module
from stream.gate.broker_gate import BrokerGate, GateState

WITHOUT = "no Java here for Apache Kafka"


def of(wanted: str, folder: Path, **more: object) -> Settings:
    return Settings(_env_file=None, broker=wanted, data_dir=folder, **more)  # type: ignore[arg-type]


def with_kafka(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """A machine on which Kafka is there, or is missing for this reason."""
    monkeypatch.setattr(settings_module, "kafka_missing", lambda: missing)
    monkeypatch.setattr(command, "kafka_missing", lambda: missing)


@pytest.mark.parametrize(
    ("wanted", "missing", "in_memory"),
    [
        ("auto", "", False),
        ("auto", WITHOUT, True),
        ("memory", "", True),
        ("memory", WITHOUT, True),
        ("kafka", "", False),
    ],
)
def test_kafka_is_taken_where_it_is(
    wanted: str, missing: str, in_memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_kafka(monkeypatch, missing)
    settings = of(wanted, tmp_path)
    check_broker(settings)
    assert settings.broker_in_memory == in_memory
    assert ("memory" in described(settings)) == in_memory
    assert ("Apache Kafka, its log in" in described(settings)) != in_memory


def test_a_cluster_s_broker_is_never_the_one_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_kafka(monkeypatch, WITHOUT)
    assert not of("memory", tmp_path, mode="cluster").broker_in_memory


def test_a_start_with_kafka_opens_the_gate_that_a_broker_in_memory_has_left_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Commands go by the data folder, and would wait for a broker that nobody replaces any more."""
    gate = BrokerGate(tmp_path)
    gate.prepare()
    gate.close(GateState.CLOSED)
    with_kafka(monkeypatch, "")
    monkeypatch.setattr(stack, "Stack", lambda *_: SimpleNamespace(run=lambda: 0))
    places = {"SENDLENS_PUBLIC_URL": "http://127.0.0.1:1", "SENDLENS_CLICKHOUSE_URL": "http://127.0.0.1:2"}
    assert sendlens._run_stack(of("kafka", tmp_path), places, []) == 0
    assert gate.state is GateState.OPEN


def test_kafka_that_was_asked_for_and_is_missing_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_kafka(monkeypatch, WITHOUT)
    with pytest.raises(Misconfigured, match="SENDLENS_BROKER=kafka: no Java here"):
        check_broker(of("kafka", tmp_path))


def test_records_that_kafka_has_on_disk_are_not_left_behind_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kafka").mkdir()
    with_kafka(monkeypatch, WITHOUT)
    with pytest.raises(Misconfigured, match="holds records of Apache Kafka"):
        check_broker(of("auto", tmp_path))
    check_broker(of("memory", tmp_path))


def test_a_node_listens_on_loopback_and_keeps_its_folder(tmp_path: Path) -> None:
    node = KafkaNode(tmp_path, 9092, 9093, java=("true",), properties={"log.roll.hours": 24})
    node.prepare()
    said = dict(line.split("=", 1) for line in (tmp_path / "server.properties").read_text().splitlines())
    assert {listener.split("//")[1].split(":")[0] for listener in said["listeners"].split(",")} == {"127.0.0.1"}
    assert said["log.dirs"] == str(tmp_path / "data")
    assert said["log.roll.hours"] == "24"
    assert said["auto.create.topics.enable"] == "false"


def test_a_node_that_kafka_does_not_take_is_said_with_kafka_s_words(tmp_path: Path) -> None:
    node = KafkaNode(tmp_path, 9092, 9093, java=("sh", "-c", "echo the cluster id is another; exit 1"))
    with pytest.raises(Misconfigured, match="the cluster id is another"):
        node.prepare()
