"""The migrations: an older database comes to today's shape with its rows, and every rerun changes nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.migrate import FOLDER, migrate
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.store import connect, insert_lines
from schemas.events import CampaignPaused, Resubscribed, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id
from tests.support.processes import ClickHouseProcess

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def settings(embedded_clickhouse: ClickHouseProcess) -> Settings:
    return Settings(  # type: ignore[call-arg]
        _env_file=None, clickhouse_url=embedded_clickhouse.url, clickhouse_database=f"m_{uuid.uuid4().hex}"
    )


@pytest.fixture
def today(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with connect(settings) as client:
        yield client


def until(folder: Path, last: str) -> Path:
    """The migrations up to `last`, as an older release had them."""
    folder.mkdir()
    for path in FOLDER.glob("*.sql"):
        if path.name <= last:
            shutil.copy(path, folder)
    return folder


def told(*events: Unsubscribed | Resubscribed | CampaignPaused) -> bytes:
    return lines(events)


def unsubscribed(after: int) -> Unsubscribed:
    return Unsubscribed(**_of(after), via="page")


def resubscribed(after: int) -> Resubscribed:
    return Resubscribed(**_of(after))


def _of(after: int) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()),
        "at": AT + timedelta(hours=after),
        "delivery_id": str(delivery_id("spring", 1, "lead-1")),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
    }


def test_a_lead_that_unsubscribed_before_stays_so(settings: Settings, tmp_path: Path) -> None:
    migrate(settings, until(tmp_path / "older", "003~"))
    with connect(settings) as client:
        client.command(
            "INSERT INTO leads (lead, unsubscribed_at) VALUES ('lead-1', '2026-03-02 09:00:00'), ('lead-2', NULL)"
        )
        client.command("INSERT INTO campaigns (id, name, created_at, paused) VALUES ('spring', 'Spring', now(), 0)")
        assert migrate(settings)[0] == "004_mail"
        facts = client.query("SELECT lead, fact, of, campaign, holds, at FROM lead_facts FINAL").result_rows
        assert facts == [("lead-1", "unsubscribed", "lead", "", True, AT.replace(tzinfo=None))]
        known = client.query(
            "SELECT check_reply, track_opens, bounce_limit, bounce_min_sends FROM campaigns"
        ).result_rows
        assert known == [(False, True, 0.05, 20)]


def test_a_migration_that_was_killed_half_way_is_simply_run_again(settings: Settings, tmp_path: Path) -> None:
    migrate(settings, until(tmp_path / "older", "003~"))
    with connect(settings) as client:
        client.command("INSERT INTO leads (lead, unsubscribed_at) VALUES ('lead-1', '2026-03-02 09:00:00')")
        migrate(settings, until(tmp_path / "newer", "004~"))
        client.command("ALTER TABLE migrations DELETE WHERE name = '004_mail' SETTINGS mutations_sync = 2")
        assert migrate(settings)[0] == "004_mail"
        assert client.query("SELECT lead, fact FROM lead_facts FINAL").result_rows == [("lead-1", "unsubscribed")]


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([unsubscribed(0)], True),
        ([unsubscribed(0), resubscribed(1)], False),
        ([unsubscribed(0), resubscribed(1), unsubscribed(2)], True),
        ([unsubscribed(0), unsubscribed(1), resubscribed(2)], False),
    ],
    ids=["unsubscribed", "taken back", "and again", "twice, then taken back"],
)
def test_who_takes_an_unsubscribe_back_is_not_unsubscribed(
    today: Client, events: list[Unsubscribed | Resubscribed], counts: bool
) -> None:
    for event in [*reversed(events), *events]:  # in any order, and twice
        insert_lines(today, "events", told(event))
    asked = "SELECT unsubscribed_at IS NOT NULL FROM v_outcomes"
    assert today.query(asked).result_rows == [(counts,)]
    before = today.query("SELECT * REPLACE (arraySort(hours) AS hours) FROM outcomes FINAL").result_rows
    rebuild_outcomes(today, [events[0].delivery_id])
    assert today.query("SELECT * REPLACE (arraySort(hours) AS hours) FROM outcomes FINAL").result_rows == before, (
        "made anew from events, it is the same"
    )


def test_an_event_of_a_campaign_is_no_email(today: Client) -> None:
    paused = CampaignPaused(id=str(uuid.uuid4()), at=AT, campaign="spring", reason="bounces", sent=40, hard_bounced=3)
    insert_lines(today, "events", told(paused))
    assert today.query("SELECT kind, campaign, sent, hard_bounced FROM events").result_rows == [
        ("campaign_paused", "spring", 40, 3)
    ]
    assert today.query("SELECT count() FROM v_outcomes").result_rows == [(0,)]
