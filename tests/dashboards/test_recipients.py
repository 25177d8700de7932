"""Lists of recipients: as long as the numbers say, by another hand, in pages that fit, and read no further than they need."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.counting import mark_hours, roll
from clickhouse.outcomes import OUTCOMES, read_place
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.errors import Reject
from schemas.events import Bounced, Clicked, Event, Opened, Replied, Resubscribed, Skipped, lines
from schemas.settings import Settings
from tests.dashboards.data import Email
from tests.dashboards.guarded import insert_weeks, link_id, weeks

ALSO_DATABASES = ("many",)
END = datetime(2026, 3, 9, tzinfo=UTC)
FROM = END - timedelta(days=21)
HOUR = timedelta(hours=1)
DEMO = link_id("spring-launch", "https://example.com/demo")
# Sent an hour after it was skipped; skipped, and never sent; skipped before the period; and one who came back.
LATER, NEVER, BEFORE, BACK = (
    Email("dormant-accounts", 1, "A", name, END - timedelta(days=2))
    for name in ("later", "never", "long-ago", "came-back")
)
# Text alone: neither an open nor a click of it could be seen.
TEXT = Email("dormant-accounts", 1, "A", "text", END - timedelta(days=2))


def skipped(email: Email, at: datetime, reason: str) -> Skipped:
    return Skipped(**email.common("skipped", at), reason=reason)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    more = [
        skipped(LATER, LATER.at - HOUR, "paused"),
        LATER.sent(),
        LATER.delivered(),
        skipped(NEVER, NEVER.at, "unsubscribed"),
        skipped(BEFORE, FROM - HOUR, "invalid"),
        msgspec.structs.replace(TEXT.sent(), pixel=False, wrapped_links=0),
        TEXT.delivered(),
        BACK.sent(),
        BACK.delivered(),
        BACK.unsubscribed(HOUR),
        Resubscribed(**BACK.common("resubscribe", BACK.at + 2 * HOUR)),  # type: ignore[arg-type]
    ]
    with connect(own_database) as client:
        insert_weeks(client, END)
        roll(client)
        for _ in range(2):  # and the rollups of these hours are stale
            insert_lines(client, "events", lines(more))
        yield client


def ask(client: Client, name: str, since: datetime = FROM, **more: Any) -> list[dict[str, Any]]:
    values = QueryParameters(since, END, more.pop("campaigns", ()), "UTC", **more).parameters()
    query = queries.get(name)
    return list(client.query(query.sql, parameters=query.values(values)).named_results())


def facts() -> dict[str, dict[str, Any]]:
    """Of every email of the weeks that was sent: what is known of it, folded by hand."""
    told: dict[str, dict[str, Any]] = {}
    for event in weeks(END):
        if not isinstance(event, Event) or event.at >= END:
            continue
        fact = told.setdefault(event.delivery_id, {"event": event, "did": set(), "sent": event.at, "links": set()})
        kind = str(event.__struct_config__.tag)
        if isinstance(event, Opened | Clicked):
            kind = f"{event.verdict} {kind}"
        if isinstance(event, Bounced):
            fact["did"].add({"hard": "hard_bounced", "soft": "soft_bounced", "block": "blocked"}[event.bounce_class])
        if isinstance(event, Clicked) and event.verdict == "human":
            fact["links"].add(event.link_id)
        if isinstance(event, Replied) and event.asks_to_stop:
            fact["did"].add("asked_to_stop")
        fact["did"].add(kind)
    return {id: fact for id, fact in told.items() if fact["sent"] >= FROM}


_BY_HAND = {
    "opened_with_pixel": lambda did: bool({"human open", "human click"} & did),
    "opened": lambda did: bool({"human open", "human click"} & did),
    "clicked": lambda did: "human click" in did,
    "replied": lambda did: "reply" in did,
}


def has(outcome: str, did: set[str]) -> bool:
    delivered = "bounce" not in did
    if outcome.startswith("not_"):
        return delivered and not _BY_HAND[outcome[4:]](did)
    if outcome in _BY_HAND:
        return _BY_HAND[outcome](did)
    return {
        "sent": True, "delivered": delivered, "bounced": not delivered, "unsubscribed": "unsubscribe" in did,
        "complained": "complaint" in did, "machine_opened": "machine open" in did,
    }.get(outcome, outcome in did)  # fmt: skip


OURS = {str(LATER.id), str(BACK.id), str(TEXT.id)}


@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if outcome != "skipped"])
def test_a_list_has_those_whom_a_count_by_hand_finds(client: Client, outcome: str) -> None:
    listed = [str(row["delivery_id"]) for row in ask(client, "recipients", outcomes=(outcome,))]
    assert len(listed) == len(set(listed))
    assert set(listed) - OURS == {id for id, fact in facts().items() if has(outcome, fact["did"])}
    (chosen,) = ask(client, "recipients_chosen", outcomes=(outcome,))
    assert chosen["emails"] == len(listed)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"campaigns": ("spring-launch",)},
        {"campaigns": ("spring-launch", "webinar-follow-up"), "steps": (2,), "variants": ("B",)},
        {"since": FROM + timedelta(days=3, hours=7, minutes=13)},
    ],
    ids=str,
)
def test_a_list_is_as_long_as_every_number_says(client: Client, choice: dict[str, Any]) -> None:
    counted = {row["outcome"]: row["emails"] for row in ask(client, "recipients_by_outcome", **choice)}
    counted |= {row["outcome"]: row["emails"] for row in ask(client, "recipients_without", **choice)}
    assert len(counted) == 16
    for outcome, emails in counted.items():
        assert len(ask(client, "recipients", outcomes=(outcome,), **choice)) == emails, outcome
    if "variants" not in choice:
        headline = ask(client, "campaign_headline", **choice)[1]
        for outcome in (
            "sent",
            "delivered",
            "opened",
            "clicked",
            "replied",
            "hard_bounced",
            "unsubscribed",
            "complained",
        ):
            assert headline[outcome] == counted[outcome], outcome


def test_a_row_of_variants_and_a_link_are_as_long_as_they_say(client: Client) -> None:
    for row in ask(client, "by_variant"):
        its = {"campaigns": (row["campaign_id"],), "steps": (row["step"],), "variants": (row["variant"],)}
        for outcome in ("sent", "opened", "clicked", "replied"):
            assert len(ask(client, "recipients", outcomes=(outcome,), **its)) == row[outcome]
    followed = ask(client, "followed_links", campaigns=("spring-launch",))
    assert len([row for row in followed if row["clicked"]]) == 3
    for row in followed:
        its = {"campaigns": ("spring-launch",), "links": (row["link_id"],)}
        assert len(ask(client, "recipients", **its)) == row["clicked"]
        (sent, *_, last) = ask(client, "recipients_by_outcome", **its)
        assert (sent["outcome"], sent["emails"], last["emails"]) == ("sent", row["clicked"], 0)
    by_hand = [fact for fact in facts().values() if DEMO in fact["links"] and "reply" in fact["did"]]
    assert len(ask(client, "recipients", outcomes=("replied",), links=(DEMO,))) == len(by_hand) > 0


def test_the_hours_of_sending_add_up(client: Client) -> None:
    query = queries.get("send_hours")
    asked = QueryParameters(FROM, END, (), "Asia/Kolkata").parameters()  # half an hour off
    rows = list(client.query(query.sql, parameters=query.values(asked)).named_results())
    by_hand: Counter[tuple[int, str]] = Counter()
    for fact in facts().values():
        hour = fact["sent"].astimezone(ZoneInfo("Asia/Kolkata")).hour
        for outcome in ("delivered", "opened", "replied"):
            by_hand[hour, outcome] += has(outcome, fact["did"])
    for email in (LATER, BACK, TEXT):
        by_hand[email.at.astimezone(ZoneInfo("Asia/Kolkata")).hour, "delivered"] += 1
    assert [row["sent_in"] for row in rows] == [f"{hour:02}:00" for hour in range(24)]
    for hour, row in enumerate(rows):
        for outcome in ("delivered", "opened", "replied"):
            assert row[outcome] == by_hand[hour, outcome], (hour, outcome)
    text_at = TEXT.at.astimezone(ZoneInfo("Asia/Kolkata")).hour
    for hour, row in enumerate(rows):
        seen = row["delivered"] - (hour == text_at)
        assert row["open_rate"] == (row["opened"] / seen if seen else None)


def test_who_could_not_be_seen_to_open_is_not_said_to_have_not(client: Client) -> None:
    for outcome, is_there in (
        ("delivered", True),
        ("not_opened", False),
        ("not_clicked", False),
        ("not_replied", True),
    ):
        listed = {row["delivery_id"] for row in ask(client, "recipients", outcomes=(outcome,))}
        assert (TEXT.id in listed) == is_there, outcome


def test_several_outcomes_are_all_true_of_each(client: Client) -> None:
    listed = {str(row["delivery_id"]) for row in ask(client, "recipients", outcomes=("opened", "not_clicked"))}
    assert listed == {
        id for id, fact in facts().items() if has("opened", fact["did"]) and has("not_clicked", fact["did"])
    }
    assert ask(client, "recipients", outcomes=("opened", "skipped")) == []


def test_skipped_are_those_that_were_never_sent_and_why(client: Client) -> None:
    (row,) = ask(client, "recipients_list", outcomes=("skipped",))
    assert (row["lead"], row["why"], row["sent_at"]) == ("never", "unsubscribed", None)
    assert row["skipped_at"] == NEVER.at.replace(tzinfo=None)
    assert ask(client, "recipients", outcomes=("skipped",), campaigns=("spring-launch",)) == []


def test_a_bounced_one_says_what_the_server_said(client: Client) -> None:
    rows = ask(client, "recipients_list", outcomes=("hard_bounced",))
    assert {row["why"] for row in rows} == {"5.1.1 no such user"}


def pages(client: Client, limit: int, **choice: Any) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    place = ""
    while True:
        found.append(ask(client, "recipients_page", after=read_place(place), limit=limit, **choice))
        if len(found[-1]) < limit:
            return found
        place = found[-1][-1]["place"]
        assert len(found) < 1000


@pytest.mark.parametrize(
    ("limit", "choice"),
    [
        (3, {"outcomes": ("replied",)}),
        (97, {"outcomes": ("not_opened",), "campaigns": ("webinar-follow-up", "spring-launch")}),
        (1, {"outcomes": ("skipped",)}),
        (400, {}),
    ],
    ids=str,
)
def test_pages_fit_together(client: Client, limit: int, choice: dict[str, Any]) -> None:
    whole = sorted(
        (row["slot"], row["campaign_id"], row["step"], row["variant"], row["delivery_id"].int)
        for row in ask(client, "recipients", **choice)
    )
    parts = [row for page in pages(client, limit, **choice) for row in page]
    keys = [(row["slot"], row["campaign_id"], row["step"], row["variant"], row["delivery_id"].int) for row in parts]
    assert [key[:4] for key in keys] == [key[:4] for key in whole]
    assert sorted(keys) == whole  # ClickHouse compares ids otherwise than as numbers


@pytest.mark.parametrize(
    "place",
    ["x", "!!!", "e30", "W10x", base64.urlsafe_b64encode(json.dumps([-1]).encode()).decode(),
     base64.urlsafe_b64encode(json.dumps([1, "a", 256]).encode()).decode(),
     base64.urlsafe_b64encode(json.dumps([1, "a", 2, "A", "no-id"]).encode()).decode()],
)  # fmt: skip
def test_what_is_no_place_of_a_row_is_refused(place: str) -> None:
    with pytest.raises(Reject, match="place of a row"):
        read_place(place)


def test_a_page_of_many_reads_little(own_database: Settings) -> None:
    """Of 400,000 emails: a page reads what stands at its place, wherever that is, and not the whole. What is rare is
    looked for in the hours alone that have it, as their rollups say."""
    with connect(own_database, database="many") as client:
        client.command("""
            INSERT INTO emails
                (campaign, slot, step, variant, delivery_id, lead, sent_at, first_open_at, complained_at)
            SELECT
                concat('campaign-', toString(number % 4)),
                toStartOfHour(sent_at),
                number % 3,
                'A',
                generateUUIDv4(),
                toString(number),
                toDateTime64('2026-03-01 00:00:00', 3, 'UTC') + intDiv(number, 2) AS sent_at,
                if(number % 3 = 0, sent_at, NULL),
                if(number = 200000, sent_at, NULL)
            FROM numbers(400000)
        """)
        query = queries.get("recipients_page")
        since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
        (middle,) = client.query("""
            SELECT toUnixTimestamp(slot), campaign, step, variant, delivery_id
            FROM emails ORDER BY slot, campaign, step, variant, delivery_id LIMIT 1 OFFSET 200000
        """).result_rows
        place = base64.urlsafe_b64encode(json.dumps([*middle[:4], str(middle[4])]).encode()).decode()
        for after in ("", place):
            asked = QueryParameters(since, until, (), "UTC", outcomes=("opened",), after=read_place(after))
            answer = client.query(query.sql, parameters=query.values(asked.parameters()))
            assert len(answer.result_rows) == 100
            assert int(answer.summary["read_rows"]) < 100_000, after
        mark_hours(client, "email", [row[0] for row in client.query("SELECT DISTINCT slot FROM emails").result_rows])
        rare = queries.get("recipients_chosen")
        asked = QueryParameters(since, until, (), "UTC", outcomes=("complained",))
        stale = client.query(rare.asked, parameters=rare.values(asked.parameters()))
        assert int(stale.summary["read_rows"]) > 400_000
        while roll(client):
            pass
        fresh = client.query(rare.asked, parameters=rare.values(asked.parameters()))
        assert fresh.result_rows == stale.result_rows
        assert int(fresh.summary["read_rows"]) < 100_000
