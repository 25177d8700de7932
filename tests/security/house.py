"""Ingest and the page over HTTP, with a broker and a database that are full of one list of hostile words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
from kafka import KafkaProducer

from clickhouse.store import connect
from dashboards.page.page import router
from ingest.app import create_app
from schemas import senders
from schemas.events import Campaign
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, text_partition
from tests.ingest.conftest import settings_in
from tests.security.hostile import SENT_AT, store
from tests.security.words import CANARY
from tests.support.broker import Broker, create_topics
from tests.support.migrated import start_migrated
from tests.support.served import served
from tests.support.waiting import wait_until


@contextmanager
def house(
    broker: Broker, folder: Path, words: Sequence[str], urls: Sequence[str] = ("https://example.net/",), **more: object
) -> Iterator[tuple[str, Settings]]:
    """The URL and the settings. Each word is a campaign, a lead and all else of an email (see hostile.py); each of the
    urls is a link. The table `canary` has a word that nobody may read."""
    database = start_migrated(folder / "clickhouse")
    settings = settings_in(folder, broker.bootstrap, clickhouse_url=database.url, **more)
    try:
        create_topics(settings)
        with connect(settings) as writer:
            store(writer, words, urls)
            writer.command("CREATE TABLE canary (word String) ENGINE = Memory")
            writer.insert("canary", [[CANARY]], column_names=["word"])
        _declare(settings, words)
        with served(create_app(settings, senders.load(settings), router(settings))) as url:
            wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, 60, "ingest's readiness")
            yield url, settings
    finally:
        database.stop()


def _declare(settings: Settings, words: Sequence[str]) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all")
    for word in words:
        declared = msgspec.json.encode(Campaign(id=word, name=word, created_at=SENT_AT))
        partition = text_partition(word, settings.partitions_of(CAMPAIGNS))
        producer.send(settings.topic(CAMPAIGNS), declared, word.encode(), partition=partition)
    producer.close()
