"""Deliverability's queries, against trouble that was counted by hand (`trouble.py`) and against brute force."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.store import connect, insert_lines
from schemas.events import Event, lines
from schemas.settings import Settings
from tests.clickhouse.test_sender_health import (
    BLOCK,
    DELIVERED,
    GREY,
    HARD,
    SOFT,
    TOO_FAST,
    UNKNOWN,
    WEIGHT,
    events_of,
    health_of,
)
from tests.clickhouse.test_sender_health import START as HEALTH_START
from tests.dashboards.asking import ask as ask_of
from tests.dashboards.data import SINCE as WEEK_SINCE
from tests.dashboards.data import UNTIL as WEEK_UNTIL
from tests.dashboards.trouble import AT, DAY, HOUR, PAUSED_AGAIN_AT, PAUSED_AT, RESUMED_AT, SINCE, UNTIL, insert_trouble

ALSO_DATABASES = ("hosted", "healths")
ask = partial(ask_of, since=SINCE, until=UNTIL)


@pytest.fixture(scope="module")
def troubled(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        insert_trouble(client)
        yield client


def test_the_headline_counts_each_email_once_in_each_class(troubled: Client) -> None:
    before, now = ask(troubled, "delivery_headline", campaigns=("launch",))
    counted = ("sent", "hard_bounced", "soft_bounced", "blocked", "delivered", "complained")
    assert [now[name] for name in counted] == [10, 3, 2, 1, 5, 1]
    assert now["hard_bounce_rate"] == pytest.approx(0.3)
    assert now["complaint_rate"] == pytest.approx(1 / 5)
    assert before["sent"] == 0


def test_a_sender_is_chosen_alone(troubled: Client) -> None:
    _, now = ask(troubled, "delivery_headline", senders=("b@example.com",))
    assert (now["sent"], now["soft_bounced"], now["delivered"]) == (2, 1, 1)
    _, none = ask(troubled, "delivery_headline", senders=("x') OR 1=1 --",))
    assert none["sent"] == 0


def test_providers_go_by_their_domains_whatever_their_case(troubled: Client) -> None:
    rows = {row["provider_name"]: row for row in ask(troubled, "by_provider", campaigns=("launch",))}
    refused = [
        (row["provider_name"], row["refusal_rate"])
        for row in ask(troubled, "refusals_by_provider", campaigns=("launch",))
    ]
    assert refused == sorted(
        ((name, row["refusal_rate"]) for name, row in rows.items()), key=lambda one: (-one[1], one[0])
    )
    counted = ("domains", "sent", "hard_bounced", "soft_bounced", "blocked", "delivered", "complained")
    assert {name: [row[one] for one in counted] for name, row in rows.items()} == {
        "Google": [2, 4, 2, 0, 0, 2, 0],
        "Microsoft": [1, 3, 1, 1, 1, 1, 1],
        "Other domains": [1, 3, 0, 1, 0, 2, 0],
    }
    assert rows["Google"]["refusal_rate"] == pytest.approx(2 / 4)
    domains = ask(troubled, "by_domain", campaigns=("launch",))
    assert [(row["domain_name"], row["provider_name"], row["sent"]) for row in domains] == [
        ("example.org", "Other domains", 3),
        ("gmail.com", "Google", 3),
        ("hotmail.com", "Microsoft", 3),
        ("googlemail.com", "Google", 1),
    ]


def test_who_hosts_a_company_can_be_told_by_a_row(own_database: Settings) -> None:
    with connect(own_database, database="hosted") as client:
        insert_trouble(client)
        own = [["example.org", "Google", "own"], ["gmail.com", "Google Mail", "own"]]
        client.insert("providers", own, column_names=["domain", "provider", "source"])
        rows = {row["provider_name"]: row["sent"] for row in ask(client, "by_provider", campaigns=("launch",))}
        assert rows == {"Google": 4, "Google Mail": 3, "Microsoft": 3}


def test_categories_add_up_to_the_headline(troubled: Client) -> None:
    rows = ask(troubled, "bounces_by_category", campaigns=("launch",))
    assert [(row["wrong"], row["hard"], row["soft"], row["blocked"]) for row in rows] == [
        ("user-unknown", 3, 0, 0),
        ("filtered", 0, 1, 0),
        ("mailbox-full", 0, 1, 0),
        ("policy", 0, 0, 1),
    ]
    assert rows[0]["share"] == pytest.approx(3 / 10)
    _, now = ask(troubled, "delivery_headline", campaigns=("launch",))
    assert [sum(row[name] for row in rows) for name in ("hard", "soft", "blocked")] == [
        now["hard_bounced"],
        now["soft_bounced"],
        now["blocked"],
    ]


def test_an_email_that_bounced_before_the_period_is_not_of_its_bounces(troubled: Client) -> None:
    """Email 1 was sent on the 10th and came back on the 12th."""
    rows = ask_of(troubled, "bounces_by_category", AT + DAY, UNTIL)
    assert rows == []
    rows = ask_of(troubled, "bounces_by_category", AT, AT + timedelta(minutes=2))
    assert [(row["wrong"], row["hard"]) for row in rows] == [("user-unknown", 2)]


def test_what_providers_said_names_nobody(troubled: Client) -> None:
    rows = ask(troubled, "bounces_by_provider", campaigns=("launch",))
    said = {(row["provider_name"], row["class"], row["wrong"], row["status"]): row for row in rows}
    assert {key: (row["emails"], row["share"]) for key, row in said.items()} == {
        ("Google", "hard", "user-unknown", "5.1.1"): (2, pytest.approx(2 / 4)),
        ("Microsoft", "hard", "user-unknown", "5.1.1"): (1, pytest.approx(1 / 3)),
        ("Microsoft", "soft", "mailbox-full", "5.2.2"): (1, pytest.approx(1 / 3)),
        ("Microsoft", "block", "policy", "5.7.1"): (1, pytest.approx(1 / 3)),
        ("Other domains", "soft", "filtered", "5.0.0"): (1, pytest.approx(1 / 3)),
    }
    assert said["Google", "hard", "user-unknown", "5.1.1"]["words"] == "550 5.1.1 <…>: no such user"


def test_rates_over_time_are_of_the_emails_sent_then(troubled: Client) -> None:
    rows = ask(troubled, "delivery_over_time", campaigns=("launch",))
    assert [row["time"].day for row in rows] == list(range(9, 20))
    assert [row["sent"] for row in rows] == [0, 10, *[0] * 9]
    assert (rows[1]["hard_bounce_rate"], rows[1]["complaint_rate"]) == (pytest.approx(0.3), pytest.approx(0.2))
    assert rows[2]["hard_bounce_rate"] is None
    hours = ask_of(troubled, "delivery_over_time", AT, AT + DAY, campaigns=("launch",))
    assert [row["sent"] for row in hours] == [9, 1, *[0] * 22]  # email 7 was sent an hour later


def test_pauses_say_since_when_why_and_until_when(troubled: Client) -> None:
    again, first = ask(troubled, "pause_list")
    assert (first["campaign_name"], first["state"], first["why"]) == ("The launch", "Resumed", "too many hard bounces")
    assert (first["paused_at"].replace(tzinfo=UTC), first["resumed_at"].replace(tzinfo=UTC)) == (PAUSED_AT, RESUMED_AT)
    assert (first["seconds"], first["detail"]) == (23 * 3600, "3 of 10 emails bounced hard")
    assert (again["state"], again["why"], again["resumed_at"]) == ("Paused", "by an operator", None)
    assert again["seconds"] == (UNTIL - PAUSED_AGAIN_AT).total_seconds()


def test_a_pause_counts_for_every_period_that_it_reaches_into(troubled: Client) -> None:
    def paused(since: datetime, until: datetime, *campaigns: str) -> int:
        return len(ask_of(troubled, "pause_list", since, until, campaigns=campaigns))

    assert paused(PAUSED_AT + HOUR, RESUMED_AT - HOUR) == 1
    assert paused(RESUMED_AT + HOUR, PAUSED_AGAIN_AT - HOUR) == 0
    assert paused(PAUSED_AGAIN_AT + DAY, PAUSED_AGAIN_AT + 2 * DAY) == 1
    assert paused(SINCE, UNTIL, "quiet") == 0


def test_pauses_stand_as_lines_over_time(troubled: Client) -> None:
    rows = ask(troubled, "pause_marks")
    assert [(row["time"].replace(tzinfo=UTC), row["text"]) for row in rows] == [
        (PAUSED_AT, "The launch paused: 3 of 10 emails bounced hard"),
        (RESUMED_AT, "The launch resumed"),
        (PAUSED_AGAIN_AT, "The launch paused by an operator"),
    ]


def test_what_was_put_off_is_told_with_what_became_of_it(troubled: Client) -> None:
    rows = ask(troubled, "deferrals")
    assert [
        (row["said"], row["deferrals"], row["emails"], row["sent_since"], row["waiting_still"], row["words"])
        for row in rows
    ] == [("4.2.1", 2, 1, 1, 0, "450 4.2.1 ask again"), ("4.7.1", 1, 1, 0, 1, "451 4.7.1 later")]
    assert ask(troubled, "deferrals", senders=("b@example.com",))[0]["said"] == "4.7.1"


def test_what_waits_is_told_and_what_is_settled_is_not(troubled: Client) -> None:
    states = {row["state"]: row for row in ask(troubled, "waiting_by_state")}
    assert {state: row["emails"] for state, row in states.items()} == {
        "deferred": 1,
        "away": 0,
        "over-limit": 0,
        "again": 0,
        "unanswered": 1,
    }
    assert states["deferred"]["next_due"].replace(tzinfo=UTC) == AT + 6 * HOUR
    assert (states["unanswered"]["next_due"], states["away"]["oldest"]) == (None, None)
    rows = ask(troubled, "waiting_list")
    assert [(row["lead"], row["state"], row["total"]) for row in rows] == [
        ("person-9", "unanswered", 2),
        ("person-8", "deferred", 2),
    ]
    assert ask(troubled, "waiting_list", senders=("a@example.com",)) == []


def test_a_sender_s_health_is_that_of_the_end_of_each_day(troubled: Client) -> None:
    """a: hard (0), block (4), soft (5) and put off (7) on the 10th; on the 11th 5 turns out hard, on the 12th 1 does.
    As it is known now, 5 costs on the 11th and 1 on the 12th what they cost: 15 each."""
    rows = ask(troubled, "sender_health_over_time", campaigns=("launch",), senders=("a@example.com",))
    assert [row["lowest"] for row in rows] == [75, 60, 45, *[45] * 7]
    assert [row["time"].day for row in rows] == list(range(10, 20))
    both = ask(troubled, "sender_health_over_time", campaigns=("launch",))
    assert (both[-1]["lowest"], both[-1]["middle"], both[-1]["highest"], both[-1]["senders"]) == (45, 45, 90, 2)
    assert both[-1]["lowest_of"] == "a@example.com"
    senders = ask(troubled, "senders_in_period", campaigns=("launch",))
    assert [(row["sender"], row["health"], row["lowest"], row["sent"]) for row in senders] == [
        ("a@example.com", 45, 45, 8),
        ("b@example.com", 90, 90, 2),
    ]


def test_health_over_time_is_what_one_email_after_the_other_makes_of_it(own_database: Settings) -> None:
    """Brute force over random weeks: each email's cost at the moment of its worst, folded up to the end of each day."""
    luck = random.Random(2026)
    days = 20
    emails: dict[str, list[list[tuple[float, str]]]] = {}
    for sender in ("one@example.com", "two@example.com", "three@example.com"):
        emails[sender] = [_met(luck, days * 86_400) for _ in range(luck.choice([150, 400]))]
    with connect(own_database, database="healths") as client:
        events: list[Event] = [
            event
            for sender, mets in emails.items()
            for number, met in enumerate(mets)
            for event in events_of(sender, number, met)
        ]
        insert_lines(client, "events", lines(events))
        insert_lines(client, "events", lines(events[::3]))
        until = HEALTH_START + timedelta(days=days)
        for (sender, mets), timezone in zip(emails.items(), ("UTC", "America/New_York", "UTC"), strict=True):
            rows = ask_of(client, "sender_health_over_time", HEALTH_START, until, senders=(sender,), timezone=timezone)
            ends = {_day(row["time"]): _end_of(_day(row["time"]), timezone) for row in rows}
            expected = {day: _health_until(mets, end) for day, end in ends.items()}
            assert {_day(row["time"]): row["lowest"] for row in rows} == expected
            assert len(set(expected.values())) > 3
        last = {row["sender"]: row["health"] for row in ask_of(client, "senders_in_period", HEALTH_START, until)}
        now = client.query(queries.get("sender_health").sql).named_results()
        assert last == {row["sender"]: row["health"] for row in now}


def _met(luck: random.Random, seconds: int) -> list[tuple[float, str]]:
    """What one email met: put off or not, taken or not, and returned later or not. No event of it twice."""
    bounced = luck.choices([HARD, SOFT, BLOCK, UNKNOWN], [1, 2, 1, 1])[0]
    stories = [[DELIVERED], [bounced], [DELIVERED, bounced], [TOO_FAST, DELIVERED], [GREY, TOO_FAST, bounced], [GREY]]
    story = luck.choices(stories, [60, 3, 2, 3, 1, 1])[0]
    moments = sorted(float(luck.randrange(seconds)) for _ in story)
    return list(zip(moments, story, strict=True))


def _day(time: datetime) -> date:
    return time.date()


def _end_of(day: date, timezone: str) -> float:
    """Seconds from the start of the story to the end of a day; New York is 5 hours behind in November."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=5 if timezone != "UTC" else 0)
    return (start + DAY - HEALTH_START).total_seconds()


def _health_until(mets: list[list[tuple[float, str]]], end: float) -> int:
    """Emails whose worst came before `end`, one after the other."""

    def moment(met: list[tuple[float, str]]) -> float | None:
        weighed = [(-WEIGHT[what], at) for at, what in met if what in WEIGHT]
        return min(weighed)[1] if weighed else None

    return health_of([met for met in mets if (at := moment(met)) is not None and at < end])


def test_the_known_week_has_the_numbers_that_the_overview_has(client: Client) -> None:
    week: dict[str, Any] = {"since": WEEK_SINCE, "until": WEEK_UNTIL}
    _, now = ask_of(client, "delivery_headline", **week)
    _, overview = ask_of(client, "headline", **week)
    assert {name: now[name] for name in overview} == overview
    (provider,) = ask_of(client, "by_provider", **week)
    assert {name: provider[name] for name in overview if name in provider} == {
        name: value for name, value in overview.items() if name != "period"
    }
    (bounces,) = ask_of(client, "bounces_by_category", **week)
    assert (bounces["hard"], bounces["soft"], bounces["blocked"]) == (2, 1, 1)
