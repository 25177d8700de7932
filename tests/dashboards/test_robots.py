"""Whose hits they were: Robots' queries against the known week and against brute force over random hits."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.store import connect, insert_lines
from schemas.events import Clicked, Opened, Verdict, lines
from schemas.settings import Settings
from tests.dashboards.asking import ask as ask_of
from tests.dashboards.data import RULES, SINCE, SPRING_AT, UNTIL, Email

ask = partial(ask_of, since=SINCE, until=UNTIL)

# Verdict, reason, user agent, what it is known as, address, network.
_SOURCES: tuple[tuple[Verdict, str, str, str, str, str], ...] = (
    ("human", "mail-client", "Thunderbird/128.0", "Thunderbird", "198.51.100.7", ""),
    ("human", "browser", "Mozilla/5.0 Firefox/140.0", "browser", "2001:db8:5:6::1", ""),
    ("machine", "apple-privacy", "Mozilla/5.0", "Apple Mail Privacy Protection", "172.224.1.1", "Apple Private Relay"),
    ("bot", "too-quick", "Mozilla/5.0 Firefox/140.0", "browser", "198.51.100.99", ""),
    ("bot", "scanner-network", "Mozilla/5.0 Chrome/131", "browser", "209.222.82.7", "Barracuda Email Gateway Defense"),
    ("bot", "crawler-agent", "Googlebot/2.1", "Googlebot", "203.0.113.9", ""),
    ("bot", "library-agent", "curl/8.11.0", "curl", "2001:db8:77:1::9", ""),
    ("bot", "library-agent", "curl/7.1", "curl", "", ""),
)


class World:
    """Emails and the hits on them, as they were made."""

    def __init__(self) -> None:
        luck = random.Random(11)
        self.emails = [
            Email("spring", 1 + n % 2, "A", f"lead-{n}", SPRING_AT + timedelta(minutes=n)) for n in range(120)
        ]
        self.bounced = {email.id for email in self.emails[::10]}
        self.hits: list[Opened | Clicked] = []
        for email in self.emails:
            for n in range(luck.choice([0, 0, 1, 2, 4])):
                self.hits.append(self._hit(luck, email, n))

    @staticmethod
    def _hit(luck: random.Random, email: Email, n: int) -> Opened | Clicked:
        verdict, reason, user_agent, agent, ip, network = luck.choice(_SOURCES)
        kind = luck.choice(["open", "click"])
        of = {
            **email.common(f"{kind} {n}", email.at + timedelta(seconds=luck.randrange(400_000))),
            "verdict": verdict,
            "reason": reason,
            "rules_version": RULES,
            "user_agent": user_agent,
            "agent": agent,
            "ip": ip,
            "network": network,
        }
        return Opened(**of) if kind == "open" else Clicked(**of, link_id="f" * 64)  # type: ignore[arg-type]

    def store(self, client: Client) -> None:
        """All of it twice, as a replay would."""
        events: list[Any] = []
        for email in self.emails:
            events += [email.sent(), email.bounced("hard") if email.id in self.bounced else email.delivered()]
        for _ in range(2):
            insert_lines(client, "events", lines([*events, *self.hits]))

    def of_step(self, step: int | None) -> list[Opened | Clicked]:
        return [hit for hit in self.hits if step in (None, hit.step)]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def judged(own_database: Settings, world: World) -> Iterator[Client]:
    with connect(own_database) as client:
        world.store(client)
        yield client


def test_shares_are_of_all_hits_and_the_period_before_stands_beside(client: Client) -> None:
    """The known week: 61 hits on 36 emails, 14 by robots on 11 emails, 8 by machines; 5 hits the week before. Emails are those
    that were sent in the period."""
    before, now = ask(client, "robot_headline")
    counted = ("hits", "human_hits", "machine_hits", "bot_hits", "emails", "bot_emails")
    assert [now[name] for name in counted] == [61, 39, 8, 14, 36, 11]
    assert (now["bot_share"], now["bot_email_share"]) == (pytest.approx(14 / 61), pytest.approx(11 / 36))
    assert (before["hits"], before["bot_share"]) == (5, 0)
    assert ask(client, "hit_headline")[1]["hits"] == now["hits"]


def test_a_step_is_chosen_alone(client: Client) -> None:
    _, now = ask(client, "robot_headline", steps=(2,))
    assert (now["hits"], now["bot_hits"]) == (6, 0)
    assert ask(client, "robots_by_agent", steps=(2,)) == []
    assert {row["reason"] for row in ask(client, "removed_by_rule", steps=(1, 2))} == {"too-quick", "privacy-prefetch"}


def test_hits_over_time_add_up_to_the_headline(judged: Client, world: World) -> None:
    _, now = ask(judged, "robot_headline")
    assert now["hits"] == len(world.hits)
    days = ask(judged, "robots_over_time", timezone="Asia/Kolkata")
    for name in ("human_hits", "machine_hits", "bot_hits"):
        assert sum(row[name] for row in days) == now[name]
    assert len(days) == 8  # the last begins at 18:30 UTC
    hours = ask_of(judged, "robots_over_time", SPRING_AT, SPRING_AT + timedelta(hours=5))
    assert len(hours) == 5


def test_what_a_rule_removed_in_the_known_week(client: Client) -> None:
    """Robots that were too quick opened 11 emails, of which 5 no person opened, and clicked in 3 that none clicked in;
    privacy proxies opened 8 that none did. 46 were delivered, 23 opened and 10 clicked in."""
    rows = {row["reason"]: row for row in ask(client, "removed_by_rule")}
    quick, prefetch = rows["too-quick"], rows["privacy-prefetch"]
    assert (quick["hits"], quick["emails"], quick["more_opened"], quick["more_clicked"]) == (14, 11, 5, 3)
    assert (quick["open_rate"], quick["open_rate_without"]) == (pytest.approx(23 / 46), pytest.approx(28 / 46))
    assert (quick["click_rate"], quick["click_rate_without"]) == (pytest.approx(10 / 46), pytest.approx(13 / 46))
    assert (prefetch["hits"], prefetch["emails"], prefetch["open_rate_without"]) == (8, 8, pytest.approx(31 / 46))
    assert prefetch["click_rate_without"] == prefetch["click_rate"]


@pytest.mark.parametrize("step", [None, 1, 2])
def test_what_each_rule_removed_is_what_counting_one_by_one_says(
    judged: Client, world: World, step: int | None
) -> None:
    hits = world.of_step(step)
    delivered = sum(email.id not in world.bounced for email in world.emails if step in (None, email.step))

    def emails(kind: type[Opened | Clicked], *reasons: str) -> set[str]:
        """Who follows a link has opened the email, too."""
        kinds = (Opened, Clicked) if kind is Opened else kind
        return {
            hit.delivery_id
            for hit in hits
            if isinstance(hit, kinds) and (hit.verdict == "human" or hit.reason in reasons)
        }

    rows = ask(judged, "removed_by_rule", steps=() if step is None else (step,))
    assert {row["reason"] for row in rows} == {hit.reason for hit in hits if hit.verdict != "human"}
    for row in rows:
        of_rule = [hit for hit in hits if hit.reason == row["reason"]]
        assert (row["hits"], row["emails"]) == (len(of_rule), len({hit.delivery_id for hit in of_rule}))
        assert row["open_rate"] == pytest.approx(len(emails(Opened)) / delivered)
        assert row["open_rate_without"] == pytest.approx(len(emails(Opened, row["reason"])) / delivered)
        assert row["click_rate_without"] == pytest.approx(len(emails(Clicked, row["reason"])) / delivered)
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_rules_are_shown_of_hits_in_a_period_without_emails(judged: Client, world: World) -> None:
    since = SPRING_AT + timedelta(days=1)
    found = {hit.reason for hit in world.hits if hit.verdict != "human" and since <= hit.at < UNTIL}
    rows = ask_of(judged, "removed_by_rule", since, UNTIL)
    assert {row["reason"] for row in rows} == found != set()
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert {(row["delivered"], row["emails"], row["open_rate"], row["open_rate_without"]) for row in rows} == {
        (0, 0, None, None)
    }


def test_networks_go_by_name_or_by_the_first_part_of_the_address(judged: Client, world: World) -> None:
    names = {
        "172.224.1.1": "Apple Private Relay",
        "198.51.100.99": "198.51.100.0/24",
        "209.222.82.7": "Barracuda Email Gateway Defense",
        "203.0.113.9": "203.0.113.0/24",
        "2001:db8:77:1::9": "2001:db8:77::/48",
        "": "Not recorded",
    }
    expected: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    robots = [hit for hit in world.hits if hit.verdict != "human"]
    for hit in robots:
        expected[names[hit.ip]][["bot", "machine"].index(hit.verdict)] += 1
    rows = ask(judged, "robots_by_network")
    assert {row["network_name"]: [row["bot_hits"], row["machine_hits"]] for row in rows} == expected
    for row in rows:
        assert row["share"] == pytest.approx(sum(expected[row["network_name"]]) / len(robots))
    counts = [row["bot_hits"] + row["machine_hits"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    of = {row["network_name"]: row["agents"] for row in rows}
    assert (of["203.0.113.0/24"], of["Apple Private Relay"]) == ("Googlebot", "Apple Mail Privacy Protection")


def test_agents_go_by_their_own_name(judged: Client, world: World) -> None:
    rows = {(row["agent_name"], row["verdict"]): row for row in ask(judged, "robots_by_agent")}
    robots = [hit for hit in world.hits if hit.verdict != "human"]
    assert set(rows) == {(hit.agent, hit.verdict) for hit in robots}
    curl = [hit for hit in robots if hit.agent == "curl"]
    assert rows["curl", "bot"]["hits"] == len(curl)
    assert rows["curl", "bot"]["opens"] == sum(isinstance(hit, Opened) for hit in curl)
    assert rows["curl", "bot"]["share"] == pytest.approx(len(curl) / len(robots))
    sent_as = {row["sent_as"]: row for row in ask(judged, "robots_by_user_agent")}
    assert set(sent_as) == {hit.user_agent for hit in world.hits if hit.verdict == "bot"}
    assert (sent_as["curl/7.1"]["agent_name"], sent_as["curl/7.1"]["reasons"]) == ("curl", "library-agent")


def test_events_from_before_names_were_recorded_say_so(client: Client) -> None:
    assert {row["agent_name"] for row in ask(client, "robots_by_agent")} == {"Not recorded"}
    assert {row["network_name"] for row in ask(client, "robots_by_network")} == {"Not recorded"}


def test_a_period_without_hits_has_no_shares(empty_client: Client) -> None:
    before, now = ask(empty_client, "robot_headline")
    assert (before["bot_share"], now["bot_share"], now["hits"]) == (None, None, 0)
    for name in ("removed_by_rule", "robots_by_network", "robots_by_agent", "robots_by_user_agent"):
        assert ask(empty_client, name) == []
