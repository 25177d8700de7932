"""An older backup restored beside Apache Kafka as it was: the store reads again what came since, and numbers are whole."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clickhouse.store import insert_lines
from schemas.events import Campaign, Lead, lines
from schemas.topics import EVENTS, LEADS, delivery_partition
from stream.state import StateTopic, read_to_end
from stream.topic_admin import topics_at_fault
from tests.clickhouse.counted import Told
from tests.commands.test_command import sendlens, settings_of
from tests.support.broker import Broker, drop_topics
from tests.support.stream import Stream, running_stream
from tests.support.waiting import wait_until

DAY = datetime(2026, 3, 2, tzinfo=UTC)


def tell(stream: Stream, leads: range, *, minutes_ago: float) -> None:
    """Emails to these leads, all opened by a person, on the topic as of then."""
    for lead in leads:
        told = [
            Told("spring", 1, lead, kind, DAY + timedelta(minutes=lead), 1).event() for kind in ("sent", "open human")
        ]
        partition = delivery_partition(str(told[0].delivery_id), stream.settings.partitions)  # type: ignore[union-attr]
        stream.write(EVENTS, lines(told), partition=partition, at=time.time() - 60 * minutes_ago)


def numbers(stream: Stream) -> tuple[int, int, int]:
    ((sent, opened),) = stream.ask(
        "SELECT countIf(sent_at IS NOT NULL), countIf(first_open_at IS NOT NULL) FROM v_outcomes"
    )
    ((events,),) = stream.ask("SELECT count() FROM events FINAL")
    return int(sent), int(opened), int(events)


@pytest.mark.timeout(300)
def test_after_restoring_an_older_backup_the_store_reads_again_what_came_since(tmp_path: Path, kafka: Broker) -> None:
    with running_stream(tmp_path, kafka) as stream:
        given, folder = settings_of(stream), str(tmp_path / "older")
        store = stream.start_worker("--stage", "store")
        tell(stream, range(40), minutes_ago=60)
        wait_until(lambda: numbers(stream) == (40, 40, 80), 60, "the first rows")
        done = sendlens("backup", folder, "--clickhouse", "File('older')", **given)
        assert done.returncode == 0, done.stderr
        assert "copy that away too" in done.stdout
        tell(stream, range(40, 100), minutes_ago=0)
        wait_until(lambda: numbers(stream) == (100, 100, 200), 60, "the later rows")

        refused = sendlens("rewind", folder, **given)
        assert refused.returncode == 2
        assert "stop all workers first" in refused.stderr
        store.stop()
        stream.workers.clear()
        done = sendlens("restore", folder, "--over", **given)
        assert done.returncode == 0, done.stderr
        assert numbers(stream) == (40, 40, 80)

        done = sendlens("rewind", folder, **given)
        assert done.returncode == 0, done.stderr
        again = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines() if "again" in line}
        assert again["events"] == 60, "what is older than the backup is left alone"
        stream.start_worker("--stage", "store")
        wait_until(lambda: numbers(stream) == (100, 100, 200), 60, "the later rows to come back")
        stream.wait_until_drained()
        assert numbers(stream) == (100, 100, 200)


def test_more_partitions_are_new_topics_that_clickhouse_fills(tmp_path: Path, broker: Broker) -> None:
    """As docs/operations.md says: another number of partitions takes another prefix."""
    with running_stream(tmp_path, broker) as stream:
        with stream.client() as client:
            insert_lines(client, "campaigns", lines([Campaign(id="spring", name="Spring", created_at=DAY)]))
            insert_lines(client, "lead_facts", lines([Lead(lead="ada", fact="unsubscribed", at=DAY)]))
        more = stream.settings.model_copy(
            update={
                "topic_prefix": f"{stream.settings.topic_prefix}more.",
                "partitions": stream.settings.partitions + 3,
            }
        )
        given = settings_of(stream) | {"topic_prefix": more.topic_prefix, "partitions": str(more.partitions)}
        try:
            done = sendlens("migrate", **given)
            assert done.returncode == 0, done.stderr
            assert topics_at_fault(more) == []
            leads = StateTopic(more, LEADS, Lead, lambda lead: lead.key)
            with read_to_end(leads, patience=30):
                assert set(leads.keys()) == {Lead(lead="ada", fact="unsubscribed", at=DAY).key}
        finally:
            drop_topics(more)
