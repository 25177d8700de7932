"""Retention on the engine: a setting moves a TTL for rows that are there, and blanking changes no number."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.counting import roll
from clickhouse.migrate import migrate
from clickhouse.rebuild import rebuild
from clickhouse.retention import ttl
from clickhouse.store import connect, insert_lines
from schemas.errors import Misconfigured
from schemas.events import Clicked, Hit, Opened, Sent, Unsubscribed, lines
from schemas.settings import Settings, load
from schemas.tokens import delivery_id
from tests.clickhouse.test_counting import empty
from tests.commands.backup.numbers import every_number, numbers
from tests.support.migrated import migrated_database

NOW = datetime.now(UTC)
# These show events themselves, addresses and user agents among their words.
SHOWN = ("export_", "lead_", "v_leads_timeline", "v_hits")
PERSON = "Mozilla/5.0 (Analytical Engine)"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with migrated_database(tmp_path_factory.mktemp("retention")) as settings:
        yield settings


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """The tables are empty, and rows kept as they are by default."""
    with connect(settings) as client:
        empty(client)
        client.command("TRUNCATE TABLE hits")
        keep(client, settings)
        yield client


def keep(client: Client, settings: Settings, **changes: int) -> list[str]:
    """What `migrate` does with these settings; returns the tables that were changed."""
    return ttl.apply(client, settings.model_copy(update=changes), lambda: None)


def count(client: Client, sql: str) -> int:
    return int(client.query(f"SELECT count() FROM {sql}").result_rows[0][0])


def of(days: int, kind: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "at": NOW - timedelta(days=days),
        "delivery_id": str(delivery_id("spring", 1, f"lead-{days}")),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": f"lead-{days}",
    }


def hit(days: int) -> Hit:
    return Hit(**of(days, "hit"), kind="open", minted_at=NOW, ip="203.0.113.7", user_agent=PERSON)


def test_every_ttl_of_the_schema_has_its_setting_and_the_same_default() -> None:
    defaults = load(token_keys="1:0123456789abcdef0123456789abcdef")
    assert {table: days for table, (_, days) in ttl.days_in_schema().items()} == ttl.wanted_days(defaults)


def test_a_shorter_time_takes_old_rows_a_longer_one_keeps_them_and_the_same_does_nothing(
    client: Client, settings: Settings
) -> None:
    insert_lines(client, "hits", lines([hit(1), hit(40), hit(80)]))
    assert keep(client, settings) == []
    assert keep(client, settings, keep_hits_days=200) == ["hits"]
    client.command("OPTIMIZE TABLE hits FINAL")
    assert count(client, "hits") == 3
    assert keep(client, settings, keep_hits_days=0) == ["hits"]
    insert_lines(client, "hits", lines([hit(300)]))
    client.command("OPTIMIZE TABLE hits FINAL")
    assert count(client, "hits") == 4
    assert keep(client, settings, keep_hits_days=60) == ["hits"]
    assert keep(client, settings, keep_hits_days=60) == [], "a TTL that is right is left alone"
    client.command("OPTIMIZE TABLE hits FINAL")
    assert count(client, "hits") == 2


@pytest.mark.parametrize("name", ["keep_hits_days", "keep_retries_days", "keep_calls_days"])
def test_a_time_in_which_a_stage_may_still_ask_is_refused(client: Client, settings: Settings, name: str) -> None:
    with pytest.raises(Misconfigured, match=rf"SENDLENS_{name.upper()}: must be \d+ or more, or 0"):
        keep(client, settings, **{name: 2})


def story(days: int) -> list[Sent | Opened | Clicked | Unsubscribed]:
    """An email that a person, a robot of a network with a name, one of a network without, and a machine met."""
    judged = {
        **{"rules_version": "1", "ip": "203.0.113.7"},
        **{"client": "Firefox", "device": "desktop", "country": "DE"},
    }
    return [
        Sent(**of(days, "sent"), sender="news@example.net", recipient_domain="example.com", message_id=""),
        Opened(**of(days, "open"), **judged, verdict="human", reason="browser", user_agent=PERSON),
        Opened(
            **of(days, "open"), **judged, verdict="bot", reason="scanner", user_agent="scan/1", network="Proofpoint"
        ),
        Clicked(**of(days, "click"), **judged, verdict="bot", reason="scanner", user_agent="scan/2", link_id="a" * 64),
        Opened(**of(days, "open"), **judged, verdict="machine", reason="proxy", user_agent="proxy/1", network="Apple"),
        Unsubscribed(**of(days, "unsubscribe"), via="page"),
    ]


def test_blanking_takes_peoples_addresses_and_agents_and_no_number_changes_not_even_by_a_rebuild(
    client: Client, settings: Settings
) -> None:
    insert_lines(client, "events", lines([event for days in (1, 20, 50, 90) for event in story(days)]))
    insert_lines(client, "hits", lines([hit(1), hit(50)]))
    roll(client)
    every, before = every_number(client), numbers(client)
    assert any("scan/2" in row for row in before["robots_by_user_agent"])
    assert any("203.0.113.0/24" in row for row in before["robots_by_network"])
    for view, name in {"opens_by_client": "Firefox", "people_by_device": "desktop", "people_by_country": "DE"}.items():
        assert any(f"'{name}', 4, " in row for row in every[view]), every[view]

    migrate(settings.model_copy(update={"blank_after_days": 30}))
    for table in ("events", "hits"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    old, new = "at < now() - INTERVAL 30 DAY", "at >= now() - INTERVAL 30 DAY"
    assert count(client, f"events WHERE {old} AND user_agent = '{PERSON}'") == 0
    assert count(client, f"events WHERE {old} AND verdict NOT IN ('bot', 'machine') AND ip != ''") == 0
    assert count(client, f"events WHERE {old} AND ip != ''") == 2, "robots of networks without a name"
    assert count(client, f"events WHERE {new} AND user_agent = '{PERSON}' AND ip != ''") == 2
    assert count(client, "hits") == 1, "raw hits name people too"
    after = every_number(client)
    assert {name: rows for name, rows in after.items() if rows != every[name] and not name.startswith(SHOWN)} == {}
    rebuild(client, lambda campaign: None)
    assert numbers(client) == before
    while roll(client):
        pass
    assert numbers(client) == before

    insert_lines(client, "events", lines(story(50)))
    client.command("OPTIMIZE TABLE events FINAL")
    assert count(client, f"events WHERE {old} AND user_agent = '{PERSON}'") == 0, "what is told again is blanked again"

    assert keep(client, settings) == ["hits", "events"]
    query = str(client.query("SHOW CREATE TABLE events").result_rows[0][0])
    assert not re.search(r"\bTTL\b", query)
