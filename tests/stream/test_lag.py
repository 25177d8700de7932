"""How far stages are behind, on either broker: exact ends, positions that were acknowledged, ages of what waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from commands.doctor.lag import partition_lags
from schemas.settings import Settings, load
from schemas.topics import EVENTS, HITS
from stream.lag import PartitionLag
from stream.offsets import group_of
from stream.records import OutRecord
from stream.topic_admin import create_topics
from stream.write_all import write_all
from tests.support.broker import Broker
from tests.support.processes import ROOT

pytestmark = pytest.mark.every_broker


@pytest.fixture
def settings(broker: Broker) -> Settings:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"lag{uuid4().hex[:8]}-", partitions=2)
    create_topics(settings)
    return settings


def acknowledge(settings: Settings, stage: str, partition: int, offset: int) -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka_servers, group_id=group_of(settings, stage), enable_auto_commit=False
    )
    tp = TopicPartition(settings.topic(HITS), partition)
    consumer.assign([tp])
    consumer.commit({tp: OffsetAndMetadata(offset, "", -1)})
    consumer.close(autocommit=False)


def of(found: list[PartitionLag], stage: str, topic: str, partition: int) -> PartitionLag:
    (one,) = [one for one in found if (one.stage, one.topic, one.partition) == (stage, topic, partition)]
    return one


def test_position_end_lag_and_age_by_stage_and_partition(settings: Settings) -> None:
    began = time.time()
    write_all(settings, [OutRecord(HITS, 1, b"", f'{{"n":{n}}}'.encode()) for n in range(7)])
    write_all(settings, [OutRecord(EVENTS, 0, b"", b"{}")])
    acknowledge(settings, "judge", 1, 5)
    found = partition_lags(settings, ages=True)
    judge, store = of(found, "judge", "hits", 1), of(found, "store", "hits", 1)
    assert (judge.position, judge.end, judge.lag) == (5, 7, 2)
    assert (store.position, store.end, store.lag) == (0, 7, 7)
    for one in (judge, store, *(of(found, stage, "events", 0) for stage in ("guard", "store", "webhooks"))):
        assert one.oldest_at is not None
        assert began - 1 <= one.oldest_at <= time.time() + 1
    assert of(found, "judge", "hits", 0) == PartitionLag("judge", "hits", 0, 0, 0)
    acknowledge(settings, "judge", 1, 7)
    caught_up = of(partition_lags(settings, ages=True), "judge", "hits", 1)
    assert (caught_up.lag, caught_up.oldest_at) == (0, None)


def test_the_command_says_it_to_eyes_and_to_programs(settings: Settings) -> None:
    write_all(settings, [OutRecord(HITS, 1, b"", b"{}") for _ in range(3)])
    names = ("kafka", "topic_prefix", "partitions", "token_keys")
    env = os.environ | {f"SENDLENS_{name.upper()}": str(getattr(settings, name)) for name in names}

    def lag(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sendlens", "lag", *words],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = lag("--stage", "judge").splitlines()
    assert shown[0].split() == ["stage", "topic", "partition", "position", "end", "lag", "oldest"]
    assert shown[1].split()[:6] == ["judge", "hits", "1", "0", "3", "3"]
    assert shown[2].startswith("judge: 3 records wait, the oldest for ")
    objects = [json.loads(line) for line in lag("--json", "--stage", "judge").splitlines()]
    assert [(one["partition"], one["lag"]) for one in objects] == [(0, 0), (1, 3)]
    assert objects[0]["oldest_seconds"] is None
    assert 0 <= objects[1]["oldest_seconds"] < 60
