"""What the judge promises, rule by rule, and the laws that hold for every hit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.robots.co_occurrence import CoOccurringClicks
from decisions.robots.judgement import Judgement, to_event
from decisions.robots.rules import RULES, Rules, decide, explain
from schemas.events import Clicked, Hit, Opened
from tests.decisions.robots.hits import CHROME, DELIVERED, GMAIL_PROXY, THUNDERBIRD, hit

SECOND = timedelta(seconds=1)
BOT, HUMAN, MACHINE = "bot", "human", "machine"


def said(judgement: Judgement) -> tuple[str, str]:
    return judgement.verdict, judgement.reason


# Timing


def test_a_scanner_that_opens_before_delivery_is_a_bot(rules: Rules) -> None:
    assert said(rules.judge(hit(at=DELIVERED - SECOND), DELIVERED)) == (BOT, "before-delivery")


def test_a_hit_on_an_email_that_the_server_has_not_taken_is_a_bot(rules: Rules) -> None:
    assert said(rules.judge(hit(), None, undelivered=True)) == (BOT, "before-delivery")


def test_a_hit_within_two_seconds_is_a_bot_and_at_two_seconds_is_not(rules: Rules) -> None:
    assert said(rules.judge(hit(at=DELIVERED + 2 * SECOND - timedelta(microseconds=1)), DELIVERED)) == (
        BOT,
        "too-quick",
    )
    assert said(rules.judge(hit(at=DELIVERED + 2 * SECOND), DELIVERED)) == (HUMAN, "browser")


def test_the_window_can_be_set(rules: Rules) -> None:
    late = hit(at=DELIVERED + 20 * SECOND)
    assert said(rules.judge(late, DELIVERED, scanner_window=21 * SECOND)) == (BOT, "too-quick")
    assert said(rules.judge(late, DELIVERED, scanner_window=0 * SECOND)) == (HUMAN, "browser")


def test_timing_says_nothing_of_an_unknown_delivery(rules: Rules) -> None:
    assert said(rules.judge(hit(at=DELIVERED), None)) == (HUMAN, "browser")


def test_timing_outranks_every_agent(rules: Rules) -> None:
    for agent in (GMAIL_PROXY, THUNDERBIRD, CHROME, "curl/8.5.0", ""):
        assert said(rules.judge(hit(user_agent=agent, at=DELIVERED), DELIVERED)) == (BOT, "too-quick")


# How it was asked


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PROPFIND"])
@pytest.mark.parametrize("agent", [CHROME, GMAIL_PROXY, THUNDERBIRD])
def test_what_is_no_get_is_no_person(rules: Rules, method: str, agent: str) -> None:
    assert said(rules.judge(hit(method=method, user_agent=agent), DELIVERED)) == (BOT, "head-request")


@pytest.mark.parametrize(
    "header", [("purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("x-moz", "Prefetch")]
)
def test_a_prefetch_is_a_machine_on_opens_and_a_bot_on_clicks(rules: Rules, header: tuple[str, str]) -> None:
    assert said(rules.judge(hit(headers=dict([header])), DELIVERED)) == (MACHINE, "prefetch-header")
    assert said(rules.judge(hit(headers=dict([header]), kind="click"), DELIVERED)) == (BOT, "prefetch-header")


def test_other_headers_change_nothing(rules: Rules) -> None:
    headers = {"purpose": "reading", "x-moz": "", "accept": "image/gif", "referer": "https://example.com/"}
    assert said(rules.judge(hit(headers=headers), DELIVERED)) == (HUMAN, "browser")


# Networks


def test_a_certain_scanner_network_outranks_the_agent(rules: Rules) -> None:
    for agent in (CHROME, THUNDERBIRD, "Mozilla/5.0"):
        assert said(rules.judge(hit(ip="209.222.82.7", user_agent=agent), DELIVERED)) == (BOT, "scanner-network")


def test_a_probable_scanner_network_is_a_bot_for_ten_minutes(rules: Rules) -> None:
    within, after = DELIVERED + timedelta(minutes=10) - SECOND, DELIVERED + timedelta(minutes=10)
    assert said(rules.judge(hit(ip="67.231.152.10", at=within), DELIVERED)) == (BOT, "probable-network")
    assert said(rules.judge(hit(ip="67.231.152.10", at=after), DELIVERED)) == (HUMAN, "browser")
    assert said(rules.judge(hit(ip="67.231.152.10"), None)) == (HUMAN, "browser")


def test_a_mail_client_behind_a_probable_network_is_a_person(rules: Rules) -> None:
    soon = DELIVERED + timedelta(minutes=1)
    assert said(rules.judge(hit(ip="67.231.152.10", at=soon, user_agent=THUNDERBIRD), DELIVERED)) == (
        HUMAN,
        "mail-client",
    )


def test_an_as_number_counts_when_the_operator_has_an_asn_database() -> None:
    asn = {"198.51.100.7": 22843, "198.51.100.8": 54538, "198.51.100.9": 22616}
    rules = Rules.load(asn.get)
    soon = DELIVERED + timedelta(minutes=1)
    assert said(rules.judge(hit(ip="198.51.100.7", at=soon), DELIVERED)) == (BOT, "probable-network")
    assert said(rules.judge(hit(ip="198.51.100.8", kind="click"), DELIVERED)) == (BOT, "scanner-network")
    assert said(rules.judge(hit(ip="198.51.100.8", kind="open"), DELIVERED)) == (HUMAN, "browser")
    zscaler = rules.judge(hit(ip="198.51.100.9", at=soon, kind="click"), DELIVERED)
    assert said(zscaler) == (HUMAN, "browser"), "people at work browse through Zscaler"


def test_a_network_of_people_and_scanners_judges_a_click_only_with_a_second_signal() -> None:
    rules = Rules.load({"198.51.100.7": 8075}.get)
    azure = {"ip": "198.51.100.7", "kind": "click"}
    soon = DELIVERED + timedelta(minutes=1)
    assert said(rules.judge(hit(**azure, at=soon), DELIVERED)) == (BOT, "probable-network")
    assert said(rules.judge(hit(**azure), DELIVERED)) == (HUMAN, "browser"), "a virtual desktop an hour later"
    assert said(rules.judge(hit(**azure), DELIVERED, co_occurring=CoOccurringClicks(another_link=True))) == (
        BOT,
        "probable-network",
    )
    assert said(rules.judge(hit(**azure | {"kind": "open"}, at=soon), DELIVERED)) == (HUMAN, "browser"), "Outlook"


# Privacy prefetch


def test_apple_mail_privacy_protection_is_a_machine_by_its_relay_alone(rules: Rules) -> None:
    bare = "Mozilla/5.0"
    assert said(rules.judge(hit(user_agent=bare, ip="172.225.7.9"), DELIVERED)) == (MACHINE, "apple-privacy")
    assert said(rules.judge(hit(user_agent=bare, ip="2a02:26f7:c9c8::1"), DELIVERED)) == (MACHINE, "apple-privacy")
    assert said(rules.judge(hit(user_agent=bare, ip="203.0.113.9"), DELIVERED)) == (BOT, "bare-mozilla")
    assert said(rules.judge(hit(user_agent=bare, ip="172.225.7.9", kind="click"), DELIVERED)) == (BOT, "bare-mozilla")
    assert said(rules.judge(hit(user_agent=CHROME, ip="172.225.7.9"), DELIVERED)) == (HUMAN, "browser")


def test_a_bare_mozilla_from_an_unknown_address_is_no_person(rules: Rules) -> None:
    assert said(rules.judge(hit(user_agent="Mozilla/5.0", ip=""), DELIVERED)) == (MACHINE, "apple-privacy")


# Agents


def test_an_agent_that_nobody_knows_is_no_person(rules: Rules) -> None:
    assert said(rules.judge(hit(user_agent="zzz"), DELIVERED)) == (BOT, "unknown-agent")


def test_no_agent_is_a_machine_on_opens_and_a_bot_on_clicks(rules: Rules) -> None:
    assert said(rules.judge(hit(user_agent=""), DELIVERED)) == (MACHINE, "no-agent")
    assert said(rules.judge(hit(user_agent="", kind="click"), DELIVERED)) == (BOT, "no-agent")


def test_an_image_proxy_opens_for_a_person_and_follows_no_link(rules: Rules) -> None:
    assert said(rules.judge(hit(user_agent=GMAIL_PROXY), DELIVERED)) == (HUMAN, "mail-proxy")
    assert said(rules.judge(hit(user_agent=GMAIL_PROXY, kind="click"), DELIVERED)) == (BOT, "mail-proxy")


# Events and explanations


def test_the_event_is_the_hit_with_its_verdict(rules: Rules) -> None:
    opened = to_event(hit(), Judgement("human", "browser"), "v1")
    assert isinstance(opened, Opened)
    one = hit(kind="click", link_id="abc")
    clicked = to_event(one, rules.judge(one, DELIVERED), rules.version)
    assert isinstance(clicked, Clicked)
    said_of_it = msgspec.to_builtins(clicked)
    for field in ("id", "at", "delivery_id", "campaign", "step", "variant", "lead", "link_id", "user_agent", "ip"):
        assert said_of_it[field] == msgspec.to_builtins(one)[field], field
    assert (clicked.verdict, clicked.reason, clicked.rules_version) == ("human", "browser", rules.version)


@pytest.mark.parametrize(
    ("user_agent", "ip", "agent", "network"),
    [
        (GMAIL_PROXY, "209.222.82.7", "Gmail image proxy", "Barracuda Email Gateway Defense"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", "Googlebot", ""),
        ("python-requests/2.31", "", "python-requests", ""),
        ("Mozilla/5.0 (compatible; Some-LinkBot/1.0)", "no address", "Some-LinkBot", ""),
        ("Thunderbird/78.0 (+https://somebot.example)", "", "robot in a mail client's clothes", ""),
        ("curl/8.11.0", "104.47.1.1", "curl", "Microsoft Exchange Online Protection"),
        ("Mozilla/5.0 (compatible; ask someone@robots.example)", "", "an address to ask at", ""),
        ("bot" * 300, "", "a robot's word", ""),
        ("", "", "no user agent", ""),
        ("zzz", "", "unknown", ""),
    ],
)
def test_an_event_says_what_its_agent_and_its_network_are_known_as(
    rules: Rules, user_agent: str, ip: str, agent: str, network: str
) -> None:
    one = hit(user_agent=user_agent, ip=ip)
    event = rules.event(one, DELIVERED)
    assert (event.agent, event.network) == (agent, network)
    judgement = rules.judge(one, DELIVERED)
    assert (event.verdict, event.reason, event.rules_version) == (judgement.verdict, judgement.reason, rules.version)


def test_the_version_is_the_same_in_every_process_and_names_content(rules: Rules) -> None:
    assert rules.version == Rules.load().version
    assert len(rules.version) == 12
    assert int(rules.version, 16) >= 0


def test_an_explanation_lists_every_rule_and_what_it_said(rules: Rules) -> None:
    seen = rules.see(hit(method="HEAD", user_agent="curl/8"), DELIVERED, False, 2 * SECOND)
    found = explain(seen)
    assert [finding.rule for finding in found] == [rule.__name__.replace("_", "-") for rule in RULES]
    spoke = [finding for finding in found if finding.judgement is not None]
    assert spoke[0].judgement == decide(seen) == Judgement("bot", "head-request")
    assert Judgement("bot", "library-agent") in [finding.judgement for finding in spoke]


# Laws

AGENTS = st.one_of(
    st.text(st.characters(), max_size=200),
    st.sampled_from([CHROME, GMAIL_PROXY, THUNDERBIRD, "Mozilla/5.0", ""]),
    st.text("Mozila/5.0 (;)WindowsAppleWebKit\x00\ud800ß", max_size=300),
)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # they are given one
HITS = st.builds(
    hit,
    kind=st.sampled_from(["open", "click"]),
    at=TIMES,
    user_agent=AGENTS,
    ip=st.one_of(st.ip_addresses().map(str), st.text(max_size=20)),
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", ""]),
    headers=st.dictionaries(st.sampled_from(["purpose", "sec-purpose", "x-moz", "referer"]), st.text(max_size=20)),
)


@given(HITS, st.none() | TIMES, st.booleans())
def test_any_hit_gets_one_verdict_with_a_reason(rules: Rules, one: Hit, at: datetime | None, undelivered: bool) -> None:
    judgement = rules.judge(one, at, undelivered=undelivered)
    assert judgement.verdict in (BOT, HUMAN, MACHINE)
    assert judgement.reason
    assert judgement == rules.judge(one, at, undelivered=undelivered)
    context = rules.see(one, at, undelivered, 2 * SECOND)
    assert judgement == decide(context) == next(said for rule in RULES if (said := rule(context)))


@given(HITS, st.timedeltas(timedelta(days=-30), timedelta(hours=1)), st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_a_hit_before_the_window_ends_is_never_human(
    rules: Rules, one: Hit, after: timedelta, window: timedelta
) -> None:
    delivered_at = one.at - after
    judgement = rules.judge(one, delivered_at, scanner_window=window)
    if after < window:
        assert judgement.verdict == BOT
        assert judgement.reason == ("before-delivery" if after < timedelta(0) else "too-quick")
    else:
        assert judgement.reason != "too-quick"


@given(HITS, st.none() | TIMES)
def test_what_is_no_get_is_never_human(rules: Rules, one: Hit, at: datetime | None) -> None:
    if one.method != "GET":
        assert rules.judge(one, at).verdict == BOT


@given(st.text(max_size=5000))
def test_any_text_is_an_agent_that_means_something(rules: Rules, text: str) -> None:
    agent = rules.classify(text)
    assert agent == rules.classify(text)
    assert agent.click.verdict in (BOT, HUMAN)
