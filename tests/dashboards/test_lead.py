"""The Lead timeline: everything that happened to one lead, and nothing that happened to another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.store import connect, insert_lines
from schemas.events import Lead, LeftList, Replied, Resubscribed, Snoozed, Unsubscribed, lines
from schemas.settings import Settings
from tests.dashboards.asking import ask as ask_of
from tests.dashboards.data import SPRING_AT, Email
from tests.dashboards.trouble import AT, DAY, ERASED, HOUR, SINCE, UNTIL, URL, insert_trouble

ALSO_DATABASES = ("long_history",)
ask = partial(ask_of, since=SINCE, until=UNTIL)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture(scope="module")
def troubled(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        insert_trouble(client)
        yield client


def timeline(client: Client, lead: str) -> list[tuple[Any, ...]]:
    """Moment since the campaign began, and what happened."""
    rows = ask(client, "lead_timeline", lead=lead)
    assert {row["total"] for row in rows} <= {len(rows)}
    return [(row["at"].replace(tzinfo=UTC) - AT, row["happened"], row["reason"], row["what"]) for row in rows]


def test_a_timeline_has_each_event_once_newest_first_hits_with_verdict_and_rule(troubled: Client) -> None:
    at = 2 * MINUTE
    assert timeline(troubled, "person-2") == [
        (at + 3 * HOUR, "Email again", "unsubscribed", "taken back: unsubscribed"),
        (at + 3 * HOUR, "Took it back", "", "gets email again"),
        (at + 2 * HOUR, "Unsubscribed", "", "by one click"),
        (at + HOUR, "Opened", "mail-proxy", "Gmail (proxy), US, 66.102.9.0/24"),
        (at + 10 * SECOND, "Clicked", "probable-network", f"{URL}, Chrome, desktop, US, Proofpoint, 67.231.144.9"),
        (at + 9 * SECOND, "Opened", "probable-network", "Chrome, desktop, US, Proofpoint, 67.231.144.9"),
        (at, "Delivered", "", ""),
        (at, "Sent", "", "from a@example.com, to gmail.com"),
    ]
    opened = ask(troubled, "lead_timeline", lead="person-2")[3]
    assert (opened["verdict"], opened["rules_version"], opened["campaign_name"]) == ("human", "v1", "The launch")
    assert (opened["step"], opened["variant"]) == (1, "A")


def test_a_bounce_says_what_the_server_said_and_what_follows(troubled: Client) -> None:
    assert timeline(troubled, "person-0") == [
        (timedelta(), "No more email", "invalid", "the address is dead"),
        (
            timedelta(),
            "No more email",
            "invalid",
            "the address is dead, known of the address, whatever list it is in",
        ),
        (timedelta(), "Bounced", "", "hard, user-unknown, 5.1.1, 550 5.1.1 <person-0@gmail.com>: no such user"),
        (timedelta(), "Sent", "", "from a@example.com, to gmail.com"),
    ]
    reported = timeline(troubled, "person-1")[1]
    assert reported[3] == "hard, user-unknown, 5.1.1, 550 5.1.1 <person-0@gmail.com>: no such user, reported later"


def test_details_hold_the_reply_and_the_whole_user_agent(troubled: Client) -> None:
    replied = ask(troubled, "lead_timeline", lead="person-3")[0]
    assert (replied["wrote"], replied["user_agent"]) == ("Yes, please.", "")
    opened = ask(troubled, "lead_timeline", lead="person-2")[3]
    assert (opened["wrote"], opened["user_agent"]) == ("", "(via ggpht.com GoogleImageProxy)")
    came_from = [opened[name] for name in ("client", "device", "country", "ip")]
    assert came_from == ["Gmail (proxy)", "unknown", "US", "66.102.9.0/24"]


def test_answers_complaints_and_skips_are_told(troubled: Client) -> None:
    assert [row[1:] for row in timeline(troubled, "person-3")][:2] == [
        ("Replied", "", "Re: Launch"),
        ("Automatic reply", "", "Out of office"),
    ]
    assert [row[1:] for row in timeline(troubled, "person-6")][:2] == [
        ("No more email", "complained", "complained of spam"),
        ("Complained", "", "abuse"),
    ]
    assert [row[1:] for row in timeline(troubled, "person-12")] == [
        ("Not sent", "unsubscribed", ""),
        ("No more email", "unsubscribed", "unsubscribed"),
    ]


def test_a_stop_in_a_reply_a_reason_and_a_pause_are_told(troubled: Client) -> None:
    email = Email("launch", 1, "A", "weary", AT - 90 * DAY)  # out of every period that others here ask of

    def of(kind: str, after: timedelta) -> dict[str, Any]:
        return email.common(kind, email.at + after)

    until = datetime(2100, 1, 2, 15, 30, tzinfo=UTC)
    mail: dict[str, Any] = {
        "sender": "a@example.com",
        "message_id": "<1@example.com>",
        "matched_by": "token",
        "subject": "Re: Launch",
    }
    mail["from_address"] = "weary@elsewhere.example.net"
    asked: dict[str, Any] = {"text": "No.\nRemove me", "asks_to_stop": True, "stop_phrase": "Remove me", "stop_line": 2}
    events = [
        email.sent(),
        Replied(**of("reply", HOUR), **mail, **asked),
        Unsubscribed(**of("unsubscribe", 2 * HOUR), via="page", reason="too-many"),
        Resubscribed(**of("resubscribe", 3 * HOUR)),
        Snoozed(**of("snooze", 4 * HOUR), until=until),
        Snoozed(**of("unsnooze", 5 * HOUR), until=email.at + 5 * HOUR),
        LeftList(**of("leave", 6 * HOUR), list_name="Seeds"),
        LeftList(**of("rejoin", 7 * HOUR), list_name="Seeds", back=True),
    ]
    insert_lines(troubled, "events", lines(events))
    facts = [
        Lead(lead="weary", fact="left", at=email.at + 6 * HOUR, campaign="Seeds", source="page"),
        Lead(lead="weary", fact="snoozed", at=email.at + 4 * HOUR, source="page", until=until),
        Lead(lead="weary", fact="suppressed", at=email.at, until=email.at + DAY),  # over
    ]
    insert_lines(troubled, "lead_facts", lines(facts))
    assert [row[1:] for row in timeline(troubled, "weary")] == [
        ("Left a list", "", "Seeds, taken back"),
        ("No more email", "left", "of the list Seeds"),
        ("Left a list", "", "Seeds"),
        ("Asked for a pause", "", "the pause ends, email goes on"),
        ("No more email", "snoozed", "a pause, until 2100-01-02 15:30 UTC"),
        ("Asked for a pause", "", "no email until 2100-01-02 15:30 UTC"),
        ("Took it back", "", "gets email again"),
        ("Unsubscribed", "too-many", "on the page, reason: too many"),
        (
            "Replied",
            "",
            'Re: Launch, from weary@elsewhere.example.net, asks for no more email: "Remove me" (line 2)',
        ),
        ("No more email", "suppressed", "suppressed by an operator, until 2025-12-11 09:00 UTC"),
        ("Sent", "", "from news@example.com, to example.net"),
    ]
    (state,) = ask(troubled, "lead_state", lead="weary")
    assert (state["state"], state["about"]) == ("Paused", "it asked for no email until 2100-01-02 15:30 UTC")


def test_what_waits_is_told_and_what_is_settled_is_not(troubled: Client) -> None:
    assert [row[1:] for row in timeline(troubled, "person-8")] == [
        ("Waiting", "deferred", "next attempt at 2026-03-10 15:00:00 UTC, attempts: 1"),
        ("Put off", "", "attempt 1, 4.7.1, 451 4.7.1 later"),
    ]
    assert [row[1:] for row in timeline(troubled, "person-9")] == [
        ("Waiting", "unanswered", "an operator decides whether it went out, attempts: 1"),
        ("No answer", "", "it may have gone out: an operator decides"),
    ]
    assert "Waiting" not in {row[1] for row in [*timeline(troubled, "person-7"), *timeline(troubled, "person-11")]}


def test_no_lead_and_an_unknown_one_have_no_rows(troubled: Client) -> None:
    for lead in ("", "person", "nobody", "owner's \\"):
        for query in ("lead_timeline", "lead_summary", "lead_state"):
            assert ask(troubled, query, lead=lead) == [], (query, lead)


@pytest.mark.parametrize(
    ("lead", "states"),
    [
        ("person-0", [("Address is dead", timedelta(), "this lead gets no more email")]),
        (
            "person-1",
            [("Address is dead", MINUTE + 2 * DAY, "its address gets no more email, whatever list it is in")],
        ),
        ("person-2", [("Gets email", 2 * MINUTE, "since its first email")]),
        ("person-3", [("Gets email", 3 * MINUTE, "since its first email")]),
        ("person-6", [("Complained", 6 * MINUTE + DAY, "this lead gets no more email")]),
        ("person-8", [("Nothing sent yet", None, "no email went out to it so far")]),
        ("person-12", [("Unsubscribed", -DAY, "this lead gets no more email")]),
        (ERASED, [("Erased", timedelta(), "nothing that tells who it was is kept")]),
    ],
)
def test_the_state_says_what_holds_now_and_since_when(
    troubled: Client, lead: str, states: list[tuple[Any, ...]]
) -> None:
    rows = ask(troubled, "lead_state", lead=lead)
    assert [
        (row["state"], row["since"] and row["since"].replace(tzinfo=UTC) - AT, row["about"]) for row in rows
    ] == states


def test_who_gets_email_is_told_of_which_campaigns_and_lists_it_gets_none(troubled: Client) -> None:
    """A reply ends the campaigns that ask for it; those that go on are not named."""
    troubled.insert(
        "campaigns",
        [["asks", "Asks first", AT, True], ["goes-on", "Goes on", AT, False]],
        column_names=["id", "name", "created_at", "check_reply"],
    )
    email = Email("asks", 1, "A", "answered", AT - 90 * DAY)
    facts = [
        *(Lead(lead="answered", fact="replied", at=email.at + HOUR, campaign=name) for name in ("asks", "goes-on")),
        Lead(lead="answered", fact="left", at=email.at + HOUR, campaign="Seeds", source="page"),
        Lead(lead="answered", fact="left", at=email.at + HOUR, campaign="Bulbs", source="page", holds=False),
    ]
    insert_lines(troubled, "events", lines([email.sent()]))
    insert_lines(troubled, "lead_facts", lines(facts))
    (row,) = ask(troubled, "lead_state", lead="answered")
    assert (row["state"], row["about"]) == (
        "Gets email",
        "since its first email; no more of Asks first, to which it replied; none of the lists that it left: Seeds",
    )


def test_the_summary_counts_a_lead_s_emails_whatever_the_period(client: Client) -> None:
    """lead-0 of the known week: three emails, all delivered and opened, two clicked in; one unsubscribed from."""
    (row,) = ask(client, "lead_summary", lead="lead-0")
    counted = ("sent", "delivered", "opened", "clicked", "unsubscribed", "replied")
    assert [row[name] for name in counted] == [3, 3, 3, 2, 1, 0]
    # Sent, delivered and opened thrice; a second open, a robot's, two clicks, and the unsubscribing.
    assert row["events"] == len(ask(client, "lead_timeline", lead="lead-0")) == 14


def test_a_long_history_is_cut_and_says_how_long_it_is(own_database: Settings) -> None:
    email = Email("spring", 1, "A", "reads a lot", SPRING_AT)
    with connect(own_database, database="long_history") as client:
        insert_lines(
            client,
            "events",
            lines([email.sent(), *(email.opened(n * MINUTE, "human", "mail-client") for n in range(600))]),
        )
        rows = ask(client, "lead_timeline", lead="reads a lot")
        assert (len(rows), rows[0]["total"], rows[0]["at"].replace(tzinfo=UTC)) == (500, 601, SPRING_AT + 599 * MINUTE)


def test_leads_to_choose_from_are_those_of_the_period_the_latest_first(troubled: Client) -> None:
    rows = ask(troubled, "leads_lately")
    assert [(row["lead"], row["last_happened"], row["emails"], row["opened"]) for row in rows][:7] == [
        ("person-1", "Bounced", 1, 0),
        ("person-6", "Complained", 1, 0),
        ("person-5", "Bounced", 1, 0),
        ("person-3", "Replied", 1, 0),
        ("person-2", "Took it back", 1, 1),
        ("person-12", "Not sent", 0, 0),
        ("person-7", "Sent", 1, 0),
    ]
    later = ask_of(troubled, "leads_lately", AT + DAY + HOUR, UNTIL)
    assert [row["lead"] for row in later] == ["person-1"]


def test_what_is_typed_finds_the_leads_that_hold_it(troubled: Client) -> None:
    assert {row["lead"] for row in ask(troubled, "leads_lately", lead="PERSON-1")} == {
        "person-1",
        "person-10",
        "person-11",
        "person-12",
    }
    assert ask(troubled, "leads_lately", lead="%") == []
