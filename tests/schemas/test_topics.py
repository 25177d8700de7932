"""What a topic promises its readers: a name, a home for each key, how long it remembers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.settings import load
from schemas.tokens import delivery_id
from schemas.topics import (
    ALL,
    CAMPAIGNS,
    DEAD,
    DELIVERIES,
    EVENTS,
    HITS,
    MAIL,
    RETRIES,
    SENDS,
    Topic,
    delivery_partition,
    text_partition,
)

KEYS = "1:0123456789abcdef0123456789abcdef"


def test_every_topic_is_declared_once() -> None:
    assert len({topic.name for topic in ALL}) == len(ALL)


@pytest.mark.parametrize("topic", [topic for topic in ALL if topic.compacted and not topic.expires])
def test_state_is_compacted_and_never_runs_out(topic: Topic) -> None:
    size = {"max.message.bytes": str(topic.max_record_bytes)} if topic.max_record_bytes else {}
    assert topic.config() == {"cleanup.policy": "compact", **size}


def test_what_waits_is_compacted_and_dropped_long_after_the_last_retry() -> None:
    (topic,) = [topic for topic in ALL if topic.expires]
    assert topic.config()["cleanup.policy"] == "compact,delete"
    assert int(topic.config()["retention.ms"]) > 7 * 86_400_000


def test_all_else_is_deleted_after_its_time() -> None:
    for topic in ALL:
        if not topic.compacted:
            assert topic.config()["cleanup.policy"] == "delete"
            assert int(topic.config()["retention.ms"]) >= 2 * 86_400_000


def test_dead_letters_outlive_what_they_came_from() -> None:
    assert max(topic.retention_ms for topic in ALL if topic is not DEAD) < DEAD.retention_ms


def test_only_the_hot_topics_hold_batches() -> None:
    assert {topic for topic in ALL if topic.batch} == {HITS, EVENTS, MAIL}


def test_a_deployment_decides_partitions_and_prefix() -> None:
    settings = load(partitions=7, topic_prefix="eu-", token_keys=KEYS)
    assert settings.partitions_of(HITS) == 7
    assert settings.partitions_of(CAMPAIGNS) == 1
    assert settings.topic(HITS) == "eu-hits"


@given(st.text(min_size=1, max_size=64), st.integers(0, 255), st.text(min_size=1, max_size=64), st.integers(1, 1000))
def test_everything_about_one_delivery_has_one_home(campaign: str, step: int, lead: str, partitions: int) -> None:
    delivery = str(delivery_id(campaign, step, lead))
    home = delivery_partition(delivery, partitions)
    assert 0 <= home < partitions
    assert delivery_partition(delivery.upper(), partitions) == home


@given(st.text(max_size=64), st.integers(1, 1000))
def test_a_text_key_has_one_home(key: str, partitions: int) -> None:
    assert 0 <= text_partition(key, partitions) < partitions
    assert text_partition(key, partitions) == text_partition(key, partitions)


@given(st.text(max_size=64), st.integers(1, 1000))
def test_a_key_goes_home_by_the_delivery_where_it_is_one_and_else_by_its_text(key: str, partitions: int) -> None:
    settings, delivery = load(partitions=partitions, token_keys=KEYS), str(delivery_id("spring", 1, "lead"))
    for topic in (HITS, EVENTS, DELIVERIES, RETRIES):
        assert settings.partition_of(topic, delivery) == delivery_partition(delivery, partitions)
    for text in (key, delivery):
        assert settings.partition_of(SENDS, text) == text_partition(text, partitions)
    assert settings.partition_of(EVENTS, key) == text_partition(key, partitions)  # a campaign's, an endpoint's
    assert settings.partition_of(CAMPAIGNS, key) == 0


def test_deliveries_and_leads_spread_over_all_partitions() -> None:
    deliveries = Counter(delivery_partition(str(delivery_id("spring", 1, f"lead-{n}")), 12) for n in range(12_000))
    leads = Counter(text_partition(f"lead-{n}", 12) for n in range(12_000))
    for spread in (deliveries, leads):
        assert len(spread) == 12
        assert min(spread.values()) > 800  # 1,000 each were they dealt out


def test_hits_events_and_deliveries_meet_because_they_are_keyed_alike() -> None:
    assert {topic.key for topic in (HITS, EVENTS, DELIVERIES)} == {"delivery"}
    assert {topic.partitions for topic in (HITS, EVENTS, DELIVERIES)} == {None}
