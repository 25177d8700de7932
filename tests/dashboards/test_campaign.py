"""The Campaign board's numbers against a count by another hand: every event of some weeks, folded in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from msgspec import Struct
from msgspec.structs import replace

from clickhouse import queries
from clickhouse.counting import DERIVED
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Bounced, CampaignPaused, Clicked, Event, Link, Opened, Replied, lines
from schemas.settings import Settings
from tests.dashboards.data import SINCE, UNTIL, Email
from tests.dashboards.guarded import PLANS, insert_weeks, link_id, weeks

ALSO_DATABASES = ("few",)
END = datetime(2026, 3, 9, tzinfo=UTC)
FROM = END - timedelta(days=21)
ZONE = "America/New_York"  # its clocks go forward within the period
HOUR = timedelta(hours=1)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BOUNDS = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800)


def ask(
    client: Client,
    name: str,
    *campaigns: str,
    steps: tuple[int, ...] = (),
    since: datetime = FROM,
    until: datetime = END,
    timezone: str = ZONE,
) -> list[dict[str, Any]]:
    query = queries.get(name)
    asked = QueryParameters(since, until, campaigns, timezone, steps).parameters()
    return list(client.query(query.sql, parameters=query.values(asked)).named_results())


class Story(Struct):
    """What happened to one email: when first, by kind; people's opens and clicks are `human open`, `human click`."""

    campaign: str
    step: int
    variant: str
    first: dict[str, datetime]
    clicks: list[tuple[str, bool]]

    @property
    def is_delivered(self) -> bool:
        return "bounce" not in self.first

    @property
    def delay(self) -> float:
        return (self.first["human open"] - self.first["delivered"]).total_seconds()


def stories(events: list[AnyEvent]) -> list[Story]:
    told: dict[str, Story] = {}
    for event in events:
        if not isinstance(event, Event):
            continue
        story = told.setdefault(event.delivery_id, Story(event.campaign, event.step, event.variant, {}, []))
        kind = str(event.__struct_config__.tag)
        names = [kind, *([f"hard {kind}"] if isinstance(event, Bounced) and event.bounce_class == "hard" else [])]
        verdict = event.verdict if isinstance(event, Clicked | Opened) else ""
        names += [f"human {kind}"] if verdict == "human" else []
        for name in names:
            story.first[name] = min(event.at, story.first.get(name, event.at))
        if isinstance(event, Clicked):
            story.clicks.append((event.link_id, verdict == "human"))
    return list(told.values())


@pytest.fixture(scope="module")
def events() -> list[AnyEvent]:
    """To the millisecond, as ClickHouse keeps them."""
    found = [event for event in weeks(END) if event.at < END]
    return [replace(event, at=event.at.replace(microsecond=event.at.microsecond // 1000 * 1000)) for event in found]


@pytest.fixture(scope="module")
def client(own_database: Settings, events: list[AnyEvent]) -> Iterator[Client]:
    with connect(own_database) as client:
        insert_weeks(client, END)
        insert_lines(client, "events", lines(events))  # again, as a replay would
        yield client


@pytest.fixture(scope="module")
def sent(events: list[AnyEvent]) -> list[Story]:
    """The cohort: emails sent in the period."""
    return [story for story in stories(events) if "sent" in story.first and FROM <= story.first["sent"] < END]


CHOICES = [((), ()), (("spring-launch",), ()), (("webinar-follow-up", "spring-launch"), (1, 3))]


def chosen(sent: list[Story], campaigns: tuple[str, ...], steps: tuple[int, ...]) -> list[Story]:
    return [s for s in sent if (not campaigns or s.campaign in campaigns) and (not steps or s.step in steps)]


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_the_headline_is_of_the_campaigns_and_steps_chosen(
    client: Client, sent: list[Story], campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    mine = chosen(sent, campaigns, steps)
    _, now = ask(client, "campaign_headline", *campaigns, steps=steps)
    assert now["sent"] == len(mine) > 100
    delivered = sum(story.is_delivered for story in mine)
    assert now["delivered"] == delivered
    for column, kind in (("opened", "human open"), ("clicked", "human click"), ("replied", "reply")):
        assert now[column] == sum(kind in story.first for story in mine), column
    assert now["raw_replied"] == sum("reply" in s.first or "auto_reply" in s.first for s in mine) > now["replied"]
    assert now["reply_rate"] == pytest.approx(now["replied"] / delivered)
    assert now["bounce_limit"] == 0.05


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_steps_and_variants_add_up_to_the_headline(
    client: Client, sent: list[Story], campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    mine = chosen(sent, campaigns, steps)
    rows = ask(client, "by_variant", *campaigns, steps=steps)
    counted = Counter((story.campaign, story.step, story.variant) for story in mine)
    assert {(row["campaign_id"], row["step"], row["variant"]): row["sent"] for row in rows} == counted
    _, now = ask(client, "campaign_headline", *campaigns, steps=steps)
    for column in ("sent", "delivered", "opened", "clicked", "replied", "unsubscribed", "hard_bounced"):
        assert sum(row[column] for row in rows) == now[column]


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_activity_is_what_happened_on_each_of_the_viewers_days(
    client: Client, events: list[AnyEvent], campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    wanted: dict[str, Counter[object]] = defaultdict(Counter)
    words = {"sent": "sent", "opened": "human open", "clicked": "human click", "replied": "reply"}
    for story in chosen(stories(events), campaigns, steps):
        for column, kind in words.items():
            if kind in story.first and FROM <= story.first[kind] < END:
                wanted[column][story.first[kind].astimezone(ZoneInfo(ZONE)).date()] += 1
    rows = ask(client, "campaign_activity", *campaigns, steps=steps)
    for column in words:
        found = {_day(row["time"]): row[column] for row in rows if row[column]}
        assert found == wanted[column], column
    assert len(rows) == 22  # quiet days too; the first begins before the period


def _day(moment: datetime) -> object:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(ZoneInfo(ZONE)).date()


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_time_to_open_is_exact(
    client: Client, sent: list[Story], campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    delays = sorted(s.delay for s in chosen(sent, campaigns, steps) if "human open" in s.first)
    rows = ask(client, "open_delays", *campaigns, steps=steps)
    places = Counter(sum(delay >= bound for bound in BOUNDS) for delay in delays)
    assert [row["opened"] for row in rows] == [places[place] for place in range(12)]
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    _, now = ask(client, "time_to_open", *campaigns, steps=steps)
    assert now["p50"] == pytest.approx(_quantile(delays, 0.5))
    assert now["p90"] == pytest.approx(_quantile(delays, 0.9))


def _quantile(values: list[float], level: float) -> float:
    """By linear interpolation between the two nearest: Hyndman and Fan's definition 7."""
    place = level * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


@pytest.mark.parametrize("timezone", [ZONE, "Asia/Kolkata", "UTC"])
def test_the_heatmap_is_in_the_viewers_hours(client: Client, events: list[AnyEvent], timezone: str) -> None:
    wanted: Counter[tuple[str, int]] = Counter()
    for story in stories(events):
        if (at := story.first.get("human open")) and FROM <= at < END:
            local = at.astimezone(ZoneInfo(timezone))
            wanted[DAYS[local.weekday()], local.hour] += 1
    rows = ask(client, "open_hours", timezone=timezone)
    assert [(row["weekday"], row["hour"]) for row in rows] == [(day, hour) for day in DAYS for hour in range(24)]
    assert {(row["weekday"], row["hour"]): row["opened"] for row in rows if row["opened"]} == wanted
    assert sum(row["share"] for row in rows) == pytest.approx(1)


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_links_are_counted_by_email_for_people_and_for_all(
    client: Client, sent: list[Story], campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    urls = {link_id(plan.id, url): url for plan in PLANS for url in plan.links}
    wanted: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    delivered = Counter(story.campaign for story in chosen(sent, campaigns, steps) if story.is_delivered)
    for story in chosen(sent, campaigns, steps):
        people = [link for link, is_human in story.clicks if is_human]
        everybody = [link for link, _ in story.clicks]
        for place, followed in enumerate((set(people), set(everybody))):
            for link in followed:
                wanted[story.campaign, urls[link]][place] += 1
    rows = ask(client, "followed_links", *campaigns, steps=steps)
    assert {(row["campaign_id"], row["link"]): [row["clicked"], row["raw_clicked"]] for row in rows} == wanted
    for row in rows:
        assert row["click_rate"] == pytest.approx(row["clicked"] / delivered[row["campaign_id"]])
    assert [row["clicked"] for row in rows] == sorted((row["clicked"] for row in rows), reverse=True)


def test_replies_are_all_there_newest_first(client: Client, events: list[AnyEvent]) -> None:
    wanted = sorted(
        (e for e in events if isinstance(e, Replied) and e.campaign == "webinar-follow-up"), key=lambda e: e.at
    )
    rows = ask(client, "replies", "webinar-follow-up", since=END - timedelta(days=60))
    assert [(row["lead"], row["words"]) for row in rows] == [(e.lead, e.text) for e in reversed(wanted)]
    assert {row["subject"] for row in rows} == {"Re: Webinar follow-up"}
    assert [row["asks_to_stop"] for row in rows] == [
        f'"{e.stop_phrase}"' if e.asks_to_stop else "" for e in reversed(wanted)
    ]
    sent_at = {e.delivery_id: e.at for e in events if e.__struct_config__.tag == "delivered" and isinstance(e, Event)}
    assert [row["after"] for row in rows] == [
        pytest.approx((e.at - sent_at[e.delivery_id]).total_seconds(), abs=1) for e in reversed(wanted)
    ]


def test_who_asked_to_stop_is_counted_of_those_who_replied(client: Client, events: list[AnyEvent]) -> None:
    since = END - timedelta(days=60)
    (row,) = ask(client, "campaign_stop_requests", "spring-launch", since=since)
    replies = [e for e in events if isinstance(e, Replied) and e.campaign == "spring-launch"]
    wanted = {e.delivery_id for e in replies if e.asks_to_stop}
    assert 0 < row["asked_to_stop"] == len(wanted) < row["replied"] == len({e.delivery_id for e in replies})
    shown = {row["asks_to_stop"] for row in ask(client, "replies", "spring-launch", since=since)}
    assert shown == {"", '"take us off your list"'}


def test_marks_are_the_pauses_and_resumes_of_the_period(client: Client, events: list[AnyEvent]) -> None:
    kinds = ("campaign_paused", "campaign_resumed")
    wanted = sorted(event.at for event in events if event.__struct_config__.tag in kinds and event.at >= FROM)
    rows = ask(client, "pause_marks")
    assert [row["time"].replace(tzinfo=UTC) for row in rows] == wanted
    assert len(wanted) >= 2
    detail = next(event.detail for event in events if isinstance(event, CampaignPaused))
    assert f"Dormant accounts paused: {detail}" in {row["text"] for row in rows}
    assert "Dormant accounts resumed" in {row["text"] for row in rows}
    assert ask(client, "pause_marks", "spring-launch") == []


def test_the_distance_to_the_pause_is_counted_as_the_guard_counts(client: Client, events: list[AnyEvent]) -> None:
    last = [event for event in events if isinstance(event, CampaignPaused)][-1]
    rows = {row["campaign_id"]: row for row in ask(client, "bounce_limits")}
    dormant = rows["dormant-accounts"]
    assert (dormant["state"], dormant["sent"], dormant["hard_bounced"]) == ("Paused", last.sent, last.hard_bounced)
    assert (dormant["bounce_limit"], dormant["spare"]) == (0.05, 0)
    spring = [story for story in stories(events) if story.campaign == "spring-launch" and "sent" in story.first]
    hard = sum("hard bounce" in story.first for story in spring)
    assert (rows["spring-launch"]["sent"], rows["spring-launch"]["hard_bounced"]) == (len(spring), hard)
    assert rows["spring-launch"]["spare"] == len(spring) * 5 // 100 - hard


@pytest.fixture
def few(own_database: Settings) -> Iterator[Client]:
    """A database with nothing in it yet."""
    with connect(own_database, database="few") as client:
        for table in ("events", *DERIVED, "links", "campaigns", "pauses"):
            client.command(f"TRUNCATE TABLE {table}")
        yield client


def tell(client: Client, *events: AnyEvent) -> None:
    insert_lines(client, "events", lines(events))


def week(client: Client, name: str, *campaigns: str, timezone: str = "UTC") -> list[dict[str, Any]]:
    return ask(client, name, *campaigns, since=SINCE, until=UNTIL, timezone=timezone)


def test_where_nothing_was_opened_there_is_no_median(few: Client) -> None:
    assert [(row["opened"], row["p50"], row["p90"]) for row in week(few, "time_to_open")] == [(0, None, None)] * 2
    assert {row["share"] for row in week(few, "open_delays")} == {None}
    assert {row["opened"] for row in week(few, "open_hours")} == {0}
    _, now = week(few, "campaign_headline")
    assert (now["sent"], now["reply_rate"], now["bounce_limit"]) == (0, None, None)
    for name in ("followed_links", "replies", "pause_marks", "bounce_limits", "by_variant", "ab"):
        assert week(few, name) == [], name


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-5, "< 1 min"), (59.999, "< 1 min"), (60, "1–5 min"), (604800, "> 7 d")]
)
def test_a_bound_belongs_to_the_longer_delay_and_clocks_that_differ_to_the_shortest(
    few: Client, seconds: float, delay: str
) -> None:
    email = Email("spring", 1, "A", "lead-1", SINCE + HOUR)
    tell(few, email.sent(), email.delivered(), email.opened(timedelta(seconds=seconds), "human", "browser"))
    assert [row["delay"] for row in week(few, "open_delays") if row["opened"]] == [delay]


def test_an_email_whose_delivery_nobody_told_of_is_timed_from_sending(few: Client) -> None:
    email = Email("spring", 1, "A", "lead-1", SINCE + HOUR)
    tell(few, email.sent(), email.opened(2 * HOUR, "human", "browser"))
    _, now = week(few, "time_to_open")
    assert now["p50"] == 7200


def test_the_hour_that_a_clock_skips_has_no_opens(few: Client) -> None:
    night = Email("spring", 1, "A", "lead-1", datetime(2026, 3, 29, 0, 30, tzinfo=UTC))  # 01:30 in Paris, winter
    tell(few, night.sent(), night.delivered(), night.opened(HOUR, "human", "browser"))
    since, until = night.at - HOUR, night.at + 24 * HOUR
    rows = ask(few, "open_hours", since=since, until=until, timezone="Europe/Paris")
    assert [(row["weekday"], row["hour"]) for row in rows if row["opened"]] == [("Sunday", 3)]


def test_links_that_are_not_known_and_traps_are_named_so(few: Client) -> None:
    email = Email("spring", 1, "A", "lead-1", SINCE + HOUR)
    mine, trap, hidden = "a" * 64, "b" * 64, "c" * 64
    urls = {trap: "https://t.example.com/hidden", hidden: "https://example.com/hidden"}
    insert_lines(few, "links", lines(Link(link_id=id_, campaign="spring", url=url) for id_, url in urls.items()))
    tell(
        few,
        email.sent(),
        email.delivered(),
        email.clicked(-timedelta(seconds=2), "bot", "too-quick", trap),
        email.clicked(HOUR, "human", "browser", mine),
        email.clicked(HOUR, "human", "browser", hidden),
    )
    assert [(row["link"], row["clicked"], row["raw_clicked"]) for row in week(few, "followed_links")] == [
        ("Unknown link aaaaaaaaaaaa", 1, 1),
        ("https://example.com/hidden", 1, 1),
        ("Trap for robots, which no person sees", 0, 1),
    ]


def test_a_limit_of_29_percent_is_not_28(few: Client) -> None:
    """As a float 0.29 * 100 is less than 29."""
    few.command(
        "INSERT INTO campaigns (id, name, created_at, bounce_limit) VALUES ('spring', 'Spring', now64(3), 0.29)"
    )
    emails = [Email("spring", 1, "A", f"lead-{n}", SINCE + HOUR) for n in range(100)]
    tell(few, *(email.sent() for email in emails), *(email.bounced("hard") for email in emails[:28]))
    (row,) = week(few, "bounce_limits")
    assert (row["sent"], row["hard_bounced"], row["spare"]) == (100, 28, 1)


def test_before_the_minimum_is_sent_the_distance_is_to_the_minimum(few: Client) -> None:
    few.command("INSERT INTO campaigns (id, name, created_at) VALUES ('spring', 'Spring', now64(3))")
    emails = [Email("spring", 1, "A", f"lead-{n}", SINCE + HOUR) for n in range(10)]
    tell(few, *(email.sent() for email in emails), emails[0].bounced("hard"))
    (row,) = week(few, "bounce_limits")
    assert (row["bounce_min_sends"], row["spare"]) == (20, 0)  # one of twenty is 5 %, which is allowed


def test_a_campaign_that_nobody_declared_has_no_limit(few: Client) -> None:
    email = Email("spring", 1, "A", "lead-1", SINCE + HOUR)
    tell(few, email.sent(), email.delivered())
    (row,) = week(few, "bounce_limits")
    assert (row["campaign_name"], row["state"], row["bounce_limit"], row["spare"]) == ("spring", "Active", None, None)
