"""The stream on real brokers and a real ClickHouse: nothing lost, nothing twice, poison set aside."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource

from agents.runtime.lag_monitor import lag
from clickhouse.store import insert_lines
from commands.backup.refill import refill
from commands.reclassify import Reclassification
from decisions.robots.rules import Rules
from schemas.errors import Retry
from schemas.events import Campaign, Delivered, Delivery, Lead, Link, Pause, lines
from schemas.state.previews import Preview
from schemas.tokens import delivery_id
from schemas.topics import (
    CAMPAIGNS,
    DELIVERIES,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    MAIL,
    PAUSES,
    PREVIEWS,
    SENDS,
    Topic,
    delivery_partition,
)
from stream.topic_admin import create_topics
from tests.support.broker import Broker
from tests.support.processes import start, start_clickhouse
from tests.support.stream import Stream, a_hit, running_stream
from tests.support.waiting import wait_until

NOW = datetime.now(UTC).replace(microsecond=0)

POISONS = (b"\xff\xfe not json", b'{"id":1}', b'["x"]', b"{}", b"null")


@pytest.fixture(scope="module")
def stream(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """One stream with one worker, shared: each test has a campaign of its own."""
    with running_stream(tmp_path_factory.mktemp("stream"), broker) as stream:
        stream.start_worker()
        yield stream


def count(stream: Stream, table: str, campaign: str) -> tuple[int, int]:
    """Rows after merging, and different ids."""
    sql = f"SELECT count(), uniqExact(id) FROM {table} FINAL WHERE campaign = {{campaign:String}}"
    (row,) = stream.ask(sql, campaign=campaign)
    return row[0], row[1]


@pytest.mark.every_broker
def test_hits_are_stored_raw_and_judged_each_once(stream: Stream) -> None:
    hits = [a_hit(f"lead-{n}", campaign="plain") for n in range(500)]
    stream.write_hits(hits)
    stream.wait_until_drained()
    assert count(stream, "hits", "plain") == (500, 500)
    assert count(stream, "events", "plain") == (500, 500)
    assert stream.ask("SELECT countIf(first_open_at IS NOT NULL) FROM v_outcomes WHERE campaign = 'plain'") == [(500,)]


def test_a_batch_delivered_twice_changes_no_number(stream: Stream) -> None:
    hits = [a_hit(f"lead-{n}", campaign="twice") for n in range(100)]
    for _ in range(2):
        stream.write_hits(hits)
        stream.wait_until_drained()
    assert count(stream, "hits", "twice") == (100, 100)
    assert count(stream, "events", "twice") == (100, 100)


def test_the_delivery_time_decides_between_a_scanner_and_a_person(stream: Stream) -> None:
    delivered = {"quick": NOW - timedelta(seconds=1), "slow": NOW - timedelta(seconds=3)}
    for lead, at in delivered.items():
        id_ = str(delivery_id("timing", 1, lead))
        delivery = Delivery(delivery_id=id_, request_id=id_, at=at)
        partition = delivery_partition(id_, stream.settings.partitions)
        stream.write(DELIVERIES, msgspec.json.encode(delivery), partition=partition, key=id_.encode())
    minted = NOW - timedelta(seconds=5)
    hits = [a_hit(lead, campaign="timing", at=NOW, minted_at=minted) for lead in ("quick", "slow", "not-yet")]
    stream.write_hits(hits)
    stream.wait_until_drained()
    verdicts = dict(stream.ask("SELECT lead, (verdict, reason) FROM events FINAL WHERE campaign = 'timing'"))
    assert verdicts == {
        "quick": ("bot", "too-quick"),
        "slow": ("human", "browser"),
        "not-yet": ("bot", "before-delivery"),
    }


def test_a_delivery_that_comes_within_the_settle_delay_still_counts(stream: Stream) -> None:
    """The hit overtakes the delivery's record, as a hit does that the mail server's answer has not yet reached us."""
    hit = a_hit("early", campaign="overtaken", at=NOW, minted_at=NOW - timedelta(seconds=30))
    delivery = Delivery(delivery_id=hit.delivery_id, request_id=hit.delivery_id, at=NOW - timedelta(seconds=20))
    settings = stream.settings
    partition = delivery_partition(hit.delivery_id, settings.partitions)
    # Over one connection, so that the second comes within the settle delay of 1 s on a busy machine too.
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers)
    for topic, value in ((HITS, lines([hit])), (DELIVERIES, msgspec.json.encode(delivery))):
        producer.send(settings.topic(topic), value, partition=partition).get(timeout=30)
    producer.close()
    stream.wait_until_drained()
    assert stream.ask("SELECT verdict FROM events FINAL WHERE campaign = 'overtaken'") == [("human",)]


@pytest.mark.every_broker
@pytest.mark.parametrize(
    ("topic", "stages"),
    [
        (HITS, {"judge", "store"}),
        (EVENTS, {"guard", "store"}),
        (MAIL, {"reader"}),
        (SENDS, {"sender"}),
        (CAMPAIGNS, {"store"}),
        (LEADS, {"store"}),
        (LINKS, {"store"}),
        (PREVIEWS, {"store"}),
    ],
    ids=lambda value: value.name if isinstance(value, Topic) else "",
)
def test_poison_goes_to_dead_with_stage_reason_and_original_bytes(
    stream: Stream, topic: Topic, stages: set[str]
) -> None:
    before = len(stream.dead())
    stream.write(topic, *POISONS)
    stream.wait_until_drained()
    letters = stream.dead()[before:]
    assert {(letter.stage, base64.b64decode(letter.value)) for letter in letters} == set(product(stages, POISONS))
    for letter in letters:
        assert letter.topic == topic.name
        assert letter.reason in ("unreadable", "rows-refused")
        assert letter.detail


def test_the_good_lines_of_a_poisoned_batch_are_kept(stream: Stream) -> None:
    good = [a_hit(f"lead-{n}", campaign="mixed") for n in range(3)]
    value = lines(good[:1]) + b'{"broken\n' + lines(good[1:])
    stream.write(HITS, value)
    stream.write(HITS, lines([a_hit("after", campaign="mixed")]))
    stream.wait_until_drained()
    assert count(stream, "hits", "mixed") == (4, 4)
    assert count(stream, "events", "mixed") == (4, 4)
    letters = [letter for letter in stream.dead() if base64.b64decode(letter.value) == value]
    assert sorted(letter.stage for letter in letters) == ["judge", "store"]


def test_while_clickhouse_is_down_nothing_is_acknowledged_and_then_all_is_stored(
    tmp_path: Path, broker: Broker
) -> None:
    with running_stream(tmp_path, broker) as stream:
        worker = stream.start_worker()
        stream.write_hits([a_hit(f"before-{n}", campaign="down") for n in range(100)])
        stream.wait_until_drained()
        stream.clickhouse.kill()
        stream.write_hits([a_hit(f"during-{n}", campaign="down") for n in range(200)])
        wait_until(lambda: "waiting to try again" in worker.output(), 30, "the store's complaint")
        assert lag(stream.settings)["store"] > 0
        stream.restart_clickhouse()
        stream.wait_until_drained()
        assert count(stream, "hits", "down") == (300, 300)
        assert count(stream, "events", "down") == (300, 300)


def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream:
        first = stream.start_worker()
        stream.write_hits([a_hit(f"lead-{n}", campaign="killed") for n in range(4000)], batch=10)
        wait_until(lambda: count(stream, "hits", "killed")[0] > 0, 30, "the first rows")
        first.kill()
        stream.start_worker()
        stream.wait_until_drained()
        assert count(stream, "hits", "killed") == (4000, 4000)
        assert count(stream, "events", "killed") == (4000, 4000)


def test_a_judge_that_starts_anew_knows_the_clicks_before_it(tmp_path: Path, broker: Broker) -> None:
    """The first link is judged and acknowledged by a worker that is then killed; the second comes two seconds later."""
    with running_stream(tmp_path, broker) as stream:
        first, second, alone = (
            a_hit("lead", campaign="restart", kind="click", at=at, link_id=link)
            for at, link in ((NOW, "a" * 64), (NOW + timedelta(seconds=2), "b" * 64), (NOW, "c" * 64))
        )
        alone = msgspec.structs.replace(alone, ip="198.51.100.8")  # of another network
        told = {name: getattr(first, name) for name in ("delivery_id", "campaign", "step", "variant", "lead")}
        delivered = Delivered(id=first.delivery_id, at=NOW - timedelta(seconds=60), sender="a@example.com", **told)
        stream.write(EVENTS, lines([delivered]))
        delivery = Delivery(delivery_id=first.delivery_id, request_id=first.id, at=delivered.at)
        partition = delivery_partition(first.delivery_id, stream.settings.partitions)
        stream.write(DELIVERIES, msgspec.json.encode(delivery), partition=partition, key=delivery.delivery_id.encode())
        worker = stream.start_worker()
        stream.write_hits([first, alone])
        stream.wait_until_drained()
        worker.kill()
        stream.write_hits([second])  # now, as it came: Kafka may keep the dead worker's place for half a minute
        stream.start_worker()
        stream.wait_until_drained()
        verdicts = dict(stream.ask("SELECT link_id, reason FROM events FINAL WHERE kind = 'click'"))
        assert verdicts == {first.link_id: "browser", second.link_id: "click-burst", alone.link_id: "browser"}
        with stream.client() as client:
            again = Reclassification(stream.settings, client, Rules.load(), lambda progress: None)
            done = again.run(NOW - timedelta(days=1), NOW + timedelta(days=1))
        assert (done.hits, done.changed, done.rebuilt) == (3, 0, 0), "who judges the past again judges as the judge did"


def test_a_burst_is_known_across_records_and_to_its_first_click(stream: Stream) -> None:
    hits = [
        a_hit("lead", campaign="burst", kind="click", at=NOW + timedelta(milliseconds=150 * n), link_id=f"{n}" * 64)
        for n in range(3)
    ]
    stream.write_hits(hits, batch=1)
    stream.wait_until_drained()
    assert stream.ask("SELECT reason, count() FROM events FINAL WHERE campaign = 'burst' GROUP BY reason") == [
        ("click-burst", 3)
    ]


def test_a_draining_worker_finishes_what_is_on_the_topics(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream:
        worker = stream.start_worker("--drain")
        stream.write_hits([a_hit(f"lead-{n}", campaign="drained") for n in range(300)])
        assert worker.stop(deadline=60) == 0
        assert "drained" in worker.output()
        assert count(stream, "events", "drained") == (300, 300)


@pytest.mark.every_broker
def test_a_worker_stops_soon_also_when_kafka_does_not_answer(tmp_path: Path, own_broker: Broker) -> None:
    """Compose kills it after 30 s, without a word of why."""
    with running_stream(tmp_path, own_broker) as stream:
        worker = stream.start_worker()
        stream.broker.kill()
        wait_until(lambda: "lost its broker" in worker.output(), 30, "the worker's complaint")
        assert worker.stop(deadline=28) == 0


def test_a_stage_that_ends_while_the_worker_drains_ends_the_worker_with_the_reason(
    tmp_path: Path, broker: Broker
) -> None:
    with running_stream(tmp_path, broker) as stream:
        worker = stream.start_worker("--drain", "--stage", "store")
        stream.clickhouse.kill()
        stream.write_hits([a_hit("lead-1", campaign="undrained")])
        wait_until(lambda: "waiting to try again" in worker.output(), 30, "the store's complaint")
        worker.popen.terminate()
        wait_until(lambda: "draining before the stop" in worker.output(), 30, "the drain")
        folder, port = stream.folder / "clickhouse", stream.clickhouse.port
        stream.clickhouse = start_clickhouse(folder, port=port, password="another")
        assert worker.popen.wait(60) == 2
        assert "SENDLENS_CLICKHOUSE_USER" in worker.output().splitlines()[-1]


@pytest.mark.every_broker
def test_an_empty_broker_is_filled_again_from_clickhouse(tmp_path: Path, own_broker: Broker) -> None:
    with running_stream(tmp_path, own_broker) as stream:
        worker = stream.start_worker()
        campaign = Campaign(
            id="o'hara", name="O'Hara's", created_at=NOW, check_reply=True, track_opens=False, bounce_limit=0.07,
            tracking_url="https://t.ohara.example",
        )  # fmt: skip
        pause = Pause(campaign="o'hara", paused=True, at=NOW, reason="bounces")
        lead = Lead(lead="lead-1", fact="unsubscribed", at=NOW)
        link = Link(link_id="ab" * 32, campaign="o'hara", url="https://example.com/?a=1&b=é")
        preview = Preview(campaign="o'hara", step=1, variant="A", html='<p>Grüße, "Ada"</p>\n', at=NOW)
        id_ = str(delivery_id("o'hara", 1, "lead-2"))
        delivered = Delivered(
            id=id_, at=NOW, delivery_id=id_, campaign="o'hara", step=1, variant="A", lead="lead-2", sender="a@example.com", request_id=id_
        )  # fmt: skip
        stream.write(CAMPAIGNS, msgspec.json.encode(campaign))
        stream.write(PAUSES, msgspec.json.encode(pause))
        stream.write(LEADS, msgspec.json.encode(lead))
        stream.write(LINKS, msgspec.json.encode(link))
        stream.write(PREVIEWS, msgspec.json.encode(preview))
        stream.write(EVENTS, lines([delivered]))
        stream.wait_until_drained()
        worker.kill()
        own_broker.forget()
        refilled = {"campaigns": 1, "pauses": 1, "leads": 1, "links": 1, "previews": 1, "deliveries": 1}
        assert stream.migrate() == refilled
        assert [msgspec.json.decode(v, type=Campaign) for v in stream.read(CAMPAIGNS)] == [campaign]
        assert [msgspec.json.decode(v, type=Pause) for v in stream.read(PAUSES)] == [pause]
        assert [msgspec.json.decode(v, type=Lead) for v in stream.read(LEADS)] == [lead]
        assert [msgspec.json.decode(v, type=Link) for v in stream.read(LINKS)] == [link]
        assert [msgspec.json.decode(v, type=Preview) for v in stream.read(PREVIEWS)] == [preview]
        expected = Delivery(delivery_id=id_, request_id=id_, at=NOW)
        assert [msgspec.json.decode(v, type=Delivery) for v in stream.read(DELIVERIES)] == [expected]
        assert stream.migrate() == {}, "what is there is left alone"


def test_a_broker_that_was_filled_half_way_is_filled_to_the_end(tmp_path: Path, own_broker: Broker) -> None:
    with running_stream(tmp_path, own_broker) as stream:
        worker = stream.start_worker("--stage", "store")
        leads = [Lead(lead=f"lead-{n}", fact="unsubscribed", at=NOW) for n in range(50)]
        stream.write(LEADS, *(msgspec.json.encode(lead) for lead in leads))
        wait_until(lambda: stream.ask("SELECT count() FROM lead_facts FINAL") == [(50,)], 30, "the leads")
        worker.kill()
        own_broker.forget()
        create_topics(stream.settings)
        newer = Lead(lead="lead-0", fact="unsubscribed", at=NOW + timedelta(hours=1))
        stream.write(LEADS, msgspec.json.encode(newer))
        assert stream.migrate() == {"leads": 49}
        found = [msgspec.json.decode(value, type=Lead) for value in stream.read(LEADS)]
        assert {lead.lead: lead for lead in found} == {lead.lead: lead for lead in [*leads, newer]}
        assert len(found) == 50


def test_a_refill_that_kafka_refuses_a_record_of_says_so_and_begins_again(
    tmp_path: Path, standing_kafka: Broker
) -> None:
    """The topic takes less than ClickHouse holds: an answer that only the record's own future knows."""
    with running_stream(tmp_path, standing_kafka) as stream:

        def takes(size: int) -> None:
            admin = KafkaAdminClient(bootstrap_servers=stream.settings.kafka_servers)
            name, limit = stream.settings.topic(CAMPAIGNS), "max.message.bytes"

            def is_so() -> bool:
                """The broker says so itself: it takes a change a moment after it has answered for it."""
                said = admin.describe_configs([ConfigResource("TOPIC", name)], config_filter="all")["topic"][name]
                return bool(said.get(limit, {}).get("value") == str(size))

            admin.alter_configs([ConfigResource("TOPIC", name, {limit: str(size)})])
            wait_until(is_so, 20, "the topic's limit")
            admin.close()

        takes(1000)
        part, rest = (Campaign(id=id, name="x" * size, created_at=NOW) for id, size in (("part", 1), ("rest", 2_000)))
        with stream.client() as client:
            insert_lines(client, "campaigns", lines([rest]))
            with pytest.raises(Retry, match="TooLarge"):
                refill(stream.settings, client)
            stream.write(CAMPAIGNS, msgspec.json.encode(part))  # what was taken before the refusal
            takes(100_000)
            assert refill(stream.settings, client) == {"campaigns": 1}
            assert refill(stream.settings, client) == {}, "now it is whole"
        assert {msgspec.json.decode(v, type=Campaign).id for v in stream.read(CAMPAIGNS)} == {"part", "rest"}


def test_a_worker_waits_for_migrate_and_refuses_partitions_that_do_not_match(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream:
        environment = stream.environment | {"SENDLENS_PARTITIONS": "7"}
        worker = start(["-m", "sendlens", "work"], tmp_path / "wrong.log", environment)
        assert worker.popen.wait(30) == 2
        assert "set SENDLENS_PARTITIONS to match" in worker.output()


def test_a_worker_that_clickhouse_locks_out_ends_with_the_reason_and_loses_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    with running_stream(tmp_path, broker) as stream:
        stream.write_hits([a_hit(f"lead-{n}", campaign="locked") for n in range(20)])
        environment = stream.environment | {"SENDLENS_CLICKHOUSE_USER": "nobody"}
        worker = start(["-m", "sendlens", "work", "--stage", "store"], tmp_path / "locked-out.log", environment)
        try:
            assert worker.popen.wait(60) == 2
        finally:
            worker.kill()
        assert "SENDLENS_CLICKHOUSE_USER" in worker.output().splitlines()[-1]
        assert stream.dead() == []
        stream.start_worker()
        stream.wait_until_drained()
        assert count(stream, "hits", "locked") == (20, 20)


def test_a_batch_of_too_many_months_is_set_aside_and_does_not_stop_the_store(stream: Stream) -> None:
    """ClickHouse refuses more than 100 partitions an insert, and always will: that is the rows' fault."""
    months = [datetime(1990 + n // 12, 1 + n % 12, 1, tzinfo=UTC) for n in range(120)]
    value = lines([a_hit(f"lead-{n}", campaign="long-ago", at=at) for n, at in enumerate(months)])
    before = len(stream.dead())
    stream.write(HITS, value)
    stream.write_hits([a_hit("lead-1", campaign="after-months")])
    stream.wait_until_drained()
    assert {base64.b64decode(letter.value) for letter in stream.dead()[before:] if letter.topic == "hits"} == {value}
    assert count(stream, "events", "after-months") == (1, 1)
