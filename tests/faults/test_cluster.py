"""What breaks in an installation on three brokers changes no number. One fault of each kind under a small load always;
all of them, under small loads and long ones, by `make faults` (docs/reliability.md has what was seen)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from schemas.settings import load
from schemas.topics import HITS, LEADS, LINKS
from stream.topic_admin import create_topics, raise_limits
from tests.faults.brokers import (
    broker_disk_full,
    broker_paused,
    coordinator_killed,
    leader_killed,
    rolling_restart,
    two_brokers_paused,
)
from tests.faults.database import clickhouse_disk_full, clickhouse_killed_inserting, clickhouse_paused
from tests.faults.garbage import garbage
from tests.faults.inboxes import inbox_restarts
from tests.faults.ingests import clocks_apart, killed_with_a_full_spool, slow_connections, spool_disk_full
from tests.faults.scenarios import Fault, befall, befall_in_a_row
from tests.faults.upgrade import earlier_code, rolling_upgrade
from tests.faults.workers import WORKER_FAULTS, WorkerFault, befall_emails, kill_workers
from tests.support.broker import drop_topics
from tests.support.cluster import Cluster, running_cluster
from tests.support.imap import quickest
from tests.support.kafka import missing
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

_FEW = 3  # partitions in the small form: to make and delete them takes longer than the load
_HITS = int(os.environ.get("SENDLENS_FAULT_HITS", "201000"))  # of the whole


@dataclass(frozen=True)
class Row:
    """A fault, and how much of it. Of two figures the first is that of the small form, the second of the whole."""

    fault: Fault
    pause: tuple[float, float] = (1.0, 10.0)  # seconds that something stays away
    hits: int = 1_500
    disk: str = ""  # the folder that is a small disk
    megabytes: tuple[int, int] = (0, 0)
    refusals: bool = False
    set_aside: bool = False
    options: Mapping[str, object] = field(default_factory=dict)


ROWS = (
    Row(leader_killed),
    Row(coordinator_killed),
    Row(rolling_restart),
    Row(broker_paused, pause=(12.0, 40.0)),  # longer than a broker may be silent before another leads in its place
    Row(two_brokers_paused, pause=(12.0, 35.0)),
    Row(broker_disk_full),
    Row(clickhouse_killed_inserting),
    Row(clickhouse_paused, pause=(3.0, 20.0)),
    Row(clickhouse_disk_full, disk="clickhouse", megabytes=(128, 1024)),
    Row(killed_with_a_full_spool, hits=8_000, refusals=True, options={"spool_mb": 1}),
    Row(spool_disk_full, hits=8_000, disk="spool", megabytes=(4, 64), refusals=True),
    Row(slow_connections),
    Row(clocks_apart),
    Row(garbage, set_aside=True),
)
# Always: one fault of each kind, in a row on one installation, which takes longer to set up than a fault to pass.
IN_A_ROW = (leader_killed, two_brokers_paused, clickhouse_killed_inserting, clocks_apart)


def by_name(one: Row | WorkerFault) -> str:
    return one.fault.__name__ if isinstance(one, Row) else one.__name__


@pytest.fixture(scope="module")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(whole_cluster: Cluster) -> Cluster:
    """The cluster, mended where a fault that failed has left it broken."""
    whole_cluster.heal()
    return whole_cluster


def test_migrate_asks_for_two_copies_of_three_and_leaves_what_has_fewer(cluster: Cluster) -> None:
    settings = load(**cluster.surroundings, kafka=cluster.bootstrap, topic_prefix=f"copies{uuid4().hex[:8]}-")
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    try:
        few = {"max.message.bytes": str(LEADS.record_bytes), "min.insync.replicas": "1"}
        earlier = [NewTopic(settings.topic(LEADS), 2, 3, topic_configs=few), NewTopic(settings.topic(LINKS), 2, 1)]
        admin.create_topics(earlier)
        create_topics(settings)
        assert settings.topic(LEADS) in raise_limits(settings)
        asked = [ConfigResource(ConfigResourceType.TOPIC, settings.topic(topic)) for topic in (HITS, LEADS, LINKS)]

        def in_sync() -> list[str]:
            said = admin.describe_configs(asked, config_filter="all")[
                "topic"
            ]  # nothing, before a broker has heard of it
            return [said[one.name].get("min.insync.replicas", {}).get("value", "") for one in asked]

        wait_until(lambda: in_sync() == ["2", "2", "1"], 20, "two copies before an answer")
        # Any node may be asked, and the one that is may hear of the raised limits after the one asked before it.
        wait_until(lambda: raise_limits(settings) == [], 20, "nothing left to raise")
    finally:
        admin.close()
        drop_topics(settings)


@pytest.mark.timeout(600)
def test_faults_in_a_row_change_no_number(tmp_path: Path, cluster: Cluster) -> None:
    pauses = {row.fault: row.pause[0] for row in ROWS}
    befall_in_a_row(
        [(fault, pauses[fault]) for fault in IN_A_ROW], tmp_path, cluster, hits=1_500, rate=500, settle=1.0,
        session_seconds=6.0, partitions=_FEW,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_fault_changes_no_number(row: Row, tmp_path: Path, cluster: Cluster) -> None:
    with _disk(row, tmp_path, row.megabytes[0]):
        befall(
            row.fault, tmp_path, cluster, hits=row.hits, rate=500, settle=1.0, pause=row.pause[0],
            refusals=row.refusals, set_aside=row.set_aside, session_seconds=6.0, partitions=_FEW, **row.options,
        )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", WORKER_FAULTS, ids=by_name)
def test_a_fault_of_workers_sends_no_email_twice(fault: WorkerFault, tmp_path: Path, cluster: Cluster) -> None:
    befall_emails(fault, tmp_path, cluster, emails=300, times=2, pause=8.0, session=6.0, partitions=_FEW)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_upgrade_part_by_part_sends_no_email_twice(tmp_path: Path, cluster: Cluster) -> None:
    code = earlier_code(tmp_path / "earlier")
    befall_emails(
        rolling_upgrade, tmp_path, cluster, emails=300, times=1, pause=0, session=6.0, code=code, partitions=_FEW
    )


@pytest.fixture
def imap() -> str:
    return quickest()


@pytest.mark.timeout(600)
def test_each_mail_of_a_server_that_forgets_its_numbers_is_told_once(
    tmp_path: Path, cluster: Cluster, imap: str
) -> None:
    inbox_restarts(tmp_path, cluster, imap, mails=120)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_fault_under_a_long_load_changes_no_number(row: Row, tmp_path: Path, cluster: Cluster) -> None:
    with _disk(row, tmp_path, row.megabytes[1]):
        befall(
            row.fault, tmp_path, cluster, hits=_HITS, rate=None, settle=5.0, pause=row.pause[1],
            refusals=row.refusals, set_aside=row.set_aside, session_seconds=30.0, **row.options,
        )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", WORKER_FAULTS, ids=by_name)
def test_a_fault_of_workers_sends_none_of_many_emails_twice(
    fault: WorkerFault, tmp_path: Path, cluster: Cluster
) -> None:
    times = 10 if fault is kill_workers else 1
    befall_emails(fault, tmp_path, cluster, emails=3_000, times=times, pause=60.0, session=30.0)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_upgrade_part_by_part_sends_none_of_many_emails_twice(tmp_path: Path, cluster: Cluster) -> None:
    code = earlier_code(tmp_path / "earlier")
    befall_emails(rolling_upgrade, tmp_path, cluster, emails=3_000, times=1, pause=0, session=30.0, code=code)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_each_of_5000_mails_of_a_server_that_forgets_its_numbers_is_told_once(
    tmp_path: Path, cluster: Cluster, imap: str
) -> None:
    inbox_restarts(tmp_path, cluster, imap, mails=5_000)


def _disk(row: Row, folder: Path, megabytes: int) -> ExitStack:
    """The small disk of a row that has one."""
    stack = ExitStack()
    if row.disk:
        stack.enter_context(small_disk(folder / row.disk, megabytes))
    return stack
