"""Every query of the board, on a real engine, against numbers counted by hand (see `data.py`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from dashboards.boards import BOARDS
from dashboards.panels import Panel
from schemas.events import lines
from schemas.settings import Settings
from tests.dashboards.data import SINCE, UNTIL, known_week

PANELS = [pytest.param(panel, id=panel.key) for board in BOARDS for panel in board.panels]


def ask(
    client: Client,
    name: str,
    *campaigns: str,
    since: datetime = SINCE,
    until: datetime = UNTIL,
    timezone: str = "UTC",
    steps: tuple[int, ...] = (),
) -> list[dict[str, Any]]:
    query = queries.get(name)
    asked = QueryParameters(since, until, campaigns, timezone, steps).parameters()
    return list(client.query(query.sql, parameters=query.values(asked)).named_results())


def test_the_headline_counts_the_emails_sent_in_the_period(client: Client) -> None:
    before, now = ask(client, "headline")
    counts = {
        "sent": 50,
        "hard_bounced": 2,
        "soft_bounced": 1,
        "blocked": 1,
        "delivered": 46,
        "opened": 23,
        "raw_opened": 36,
        "machine_opened": 8,
        "clicked": 10,
        "raw_clicked": 13,
        "unsubscribed": 3,
        "replied": 4,
        "raw_replied": 5,
        "complained": 2,
    }
    assert {name: now[name] for name in counts} == counts
    assert (before["sent"], before["delivered"], before["opened"], before["clicked"]) == (20, 20, 5, 0)


def test_every_rate_has_the_denominator_its_panel_states(client: Client) -> None:
    _, now = ask(client, "headline")
    rates = {
        "delivery_rate": 46 / 50,
        "hard_bounce_rate": 2 / 50,
        "soft_bounce_rate": 1 / 50,
        "block_rate": 1 / 50,
        "open_rate": 23 / 46,
        "raw_open_rate": 36 / 46,
        "machine_open_rate": 8 / 46,
        "click_rate": 10 / 46,
        "raw_click_rate": 13 / 46,
        "click_to_open_rate": 10 / 23,
        "raw_click_to_open_rate": 13 / 36,
        "unsubscribe_rate": 3 / 46,
        "reply_rate": 4 / 46,
        "raw_reply_rate": 5 / 46,
        "complaint_rate": 2 / 46,
    }
    assert {name: now[name] for name in rates} == pytest.approx(rates)


def test_a_rate_of_nothing_is_unknown_and_not_zero(empty_client: Client) -> None:
    before, now = ask(empty_client, "headline")
    for row in (before, now):
        assert row["sent"] == 0
        assert {value for name, value in row.items() if name.endswith("_rate")} == {None}


def test_an_email_opened_after_the_period_still_counts_for_the_period_it_was_sent_in(client: Client) -> None:
    _, now = ask(client, "headline", since=SINCE, until=SINCE + timedelta(hours=9, minutes=30))
    assert (now["sent"], now["opened"], now["unsubscribed"]) == (40, 18, 3)


def test_the_period_starts_at_since_and_ends_before_until(client: Client) -> None:
    first = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)
    _, now = ask(client, "headline", since=first, until=first + timedelta(seconds=30))
    assert now["sent"] == 1  # the second email was sent at the very end


def test_a_campaign_is_chosen_by_its_id_apostrophe_and_all(client: Client) -> None:
    _, now = ask(client, "headline", "owner's pick")
    assert (now["sent"], now["opened"], now["clicked"]) == (10, 5, 1)
    _, both = ask(client, "headline", "owner's pick", "spring")
    assert both["sent"] == 50
    _, none = ask(client, "headline", "no') OR 1=1 --")
    assert none["sent"] == 0


def test_the_funnel_shows_human_and_raw_side_by_side(client: Client) -> None:
    assert [(row["stage"], row["emails"], row["raw_emails"]) for row in ask(client, "funnel")] == [
        ("Sent", 50, None),
        ("Delivered", 46, None),
        ("Opened", 23, 36),
        ("Clicked", 10, 13),
        ("Replied", 4, 5),
    ]
    shares = [row["share"] for row in ask(client, "funnel")]
    assert shares == [None, *(pytest.approx(share) for share in (46 / 50, 23 / 46, 10 / 46, 4 / 46))]


def test_activity_is_by_day_when_it_happened(client: Client) -> None:
    rows = ask(client, "activity")
    assert [row["time"].day for row in rows] == [2, 3, 4, 5, 6, 7, 8]
    assert [tuple(row.values())[1:] for row in rows[:4]] == [
        # sent, opened, clicked, replied, unsubscribed
        (40, 18, 9, 4, 0),
        (0, 0, 0, 0, 3),
        (10, 5, 1, 0, 0),
        (0, 0, 0, 0, 0),
    ]


def test_a_day_is_a_day_of_the_viewer(client: Client) -> None:
    rows = ask(client, "activity", "owner's pick", timezone="Pacific/Auckland")  # 13 hours ahead
    (day,) = [row["time"] for row in rows if row["sent"]]
    midnight = datetime(2026, 3, 5, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert day.replace(tzinfo=day.tzinfo or UTC) == midnight


def test_a_day_of_23_hours_has_23_rows_by_the_hour(empty_client: Client) -> None:
    start = datetime(2026, 3, 28, 23, tzinfo=UTC)  # midnight in Paris, before the clocks go forward
    rows = ask(empty_client, "activity", since=start, until=start + timedelta(hours=23), timezone="Europe/Paris")
    assert len(rows) == 23
    days = ask(empty_client, "activity", since=start, until=start + timedelta(days=200), timezone="Europe/Paris")
    assert len({row["time"] for row in days}) == len(days) == 201


@pytest.mark.parametrize(
    ("length", "step"),
    [
        (timedelta(hours=3), timedelta(minutes=1)),
        (timedelta(days=3), timedelta(hours=1)),
        (timedelta(days=9), timedelta(days=1)),
    ],
)
def test_the_step_of_activity_follows_the_length_of_the_period(
    client: Client, length: timedelta, step: timedelta
) -> None:
    rows = ask(client, "activity", since=SINCE, until=SINCE + length)
    assert rows[1]["time"] - rows[0]["time"] == step
    assert len(rows) == length / step


def test_campaigns_stand_in_order_of_size_with_their_names(client: Client) -> None:
    rows = ask(client, "by_campaign")
    assert [(row["campaign_id"], row["campaign_name"], row["state"], row["sent"], row["opened"]) for row in rows] == [
        ("spring", "Spring sale", "Active", 40, 18),
        ("owner's pick", "Owner's pick", "Paused", 10, 5),
    ]
    assert rows[0]["open_rate"] == pytest.approx(18 / 36)


def test_variants_can_be_compared(client: Client) -> None:
    rows = ask(client, "by_variant", "spring")
    assert [
        (row["step"], row["variant"], row["sent"], row["delivered"], row["opened"], row["clicked"]) for row in rows
    ] == [
        (1, "A", 20, 18, 9, 5),
        (1, "B", 20, 18, 9, 4),
    ]


def test_bot_share_is_of_all_hits_by_the_time_of_the_hit(client: Client) -> None:
    before, now = ask(client, "hit_headline")
    # Opens: 18 and 6 again by people in spring, 5 in the other; 8 by machines; 6 and 5 by robots. Clicks: 10 and 3.
    assert (now["hits"], now["human_hits"], now["machine_hits"], now["bot_hits"]) == (61, 39, 8, 14)
    assert now["bot_share"] == pytest.approx(14 / 61)
    assert before["hits"] == 5


def test_hits_by_verdict_and_by_reason_add_up(client: Client) -> None:
    assert [tuple(row.values()) for row in ask(client, "hits_by_verdict")] == [
        ("Opens", 29, 8, 11),
        ("Clicks", 10, 0, 3),
        ("All hits", 39, 8, 14),
    ]
    reasons = {(row["verdict"], row["reason"]): (row["opens"], row["clicks"]) for row in ask(client, "hits_by_reason")}
    assert reasons == {
        ("human", "mail-client"): (29, 0),
        ("bot", "too-quick"): (11, 3),
        ("human", "browser"): (0, 10),
        ("machine", "privacy-prefetch"): (8, 0),
    }
    assert sum(row["share"] for row in ask(client, "hits_by_reason")) == pytest.approx(1)


def test_a_duplicate_changes_no_number(client: Client, own_database: Settings) -> None:
    """`full` holds every event twice; this database holds it once."""
    with connect(own_database) as other:
        insert_lines(other, "events", lines(known_week()))
        for name in ("headline", "funnel", "activity", "hit_headline", "hits_by_verdict", "hits_by_reason"):
            assert ask(other, name) == ask(client, name), name


def test_a_campaign_that_was_never_declared_goes_by_its_id(own_database: Settings) -> None:
    with connect(own_database) as client:
        insert_lines(client, "events", lines(known_week()))
        assert {row["campaign_name"] for row in ask(client, "by_campaign")} == {"spring", "owner's pick"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_finds_every_column_it_shows(panel: Panel, client: Client) -> None:
    of = [panel.of.part, panel.of.whole] if panel.of and panel.kind == "stat" else []
    wanted = {field.column for field in panel.columns} | ({panel.link.column} if panel.link else set()) | set(of)
    wanted |= {panel.across.column} if panel.across else set()
    parameters = panel.query.values(QueryParameters(SINCE, UNTIL, (), "UTC").parameters())
    rows = client.query(f"DESCRIBE TABLE ({panel.query.sql})", parameters=parameters).result_rows
    assert wanted <= {name for name, *_ in rows}
