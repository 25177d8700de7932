"""The front door: a play of the mail world ends equal to the truth, and a lie is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, AutoReplied, Complained, Lead, Replied, Resubscribed, Skipped, lines
from schemas.settings import load
from schemas.tokens import Keyring
from tests.dashboards.data import Email
from tests.support.installation import environment, running
from tests.support.migrated import start_migrated
from tests.support.processes import ROOT
from tests.world.badlist import BadList
from tests.world.people import People
from tests.world.platform import Platform
from tests.world.questions import WORDS_OF_A_REPLY, answers, facts
from tests.world.recipients import KINDS, population
from tests.world.table import tables
from tests.world.truth import Numbers, Truth, differences, part


@pytest.mark.timeout(300)
def test_the_demo_ends_equal_to_the_truth(tmp_path: Path) -> None:
    settings = environment(tmp_path) | {"SENDLENS_BROKER": "auto"}
    with running(["demo", "--check", "--leads", "60"], settings, tmp_path / "demo.log") as demo:
        assert demo.popen.wait(240) == 0, demo.output()
    said = demo.output()
    assert "The broker keeps everything in memory" in said, "also where Apache Kafka is there"
    assert "EQUAL: every number in ClickHouse, and on the page, is the truth" in said
    assert "DIFFERENT" not in said
    assert re.search(r"compared \d{3,} numbers over HTTP: Overview \d+, Campaign board \d+, ", said)


def test_every_kind_of_recipient_takes_part() -> None:
    assert {kind.name for kind in population(60, seed=1)} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("what", sorted(Truth().numbers()))
def test_each_number_that_differs_is_named(what: str) -> None:
    truths = {part(1, "A"): Truth(sent={"lead-1", "lead-2"}, openers={"lead-1"}, hits=4, bot_hits=1).numbers()}
    equal = dict(truths[part(1, "A")])
    assert differences(truths, {"events": {part(1, "A"): equal}}) == []
    one_more = equal | {what: equal[what] + 1}
    assert differences(truths, {"events": {part(1, "A"): one_more}}) == [
        f"step 1, A: {what} is {equal[what]}, events say {equal[what] + 1}"
    ]


def test_emails_that_nobody_asked_for_and_empty_answers_are_not_the_truth() -> None:
    truths = {part(1, "A"): Truth(sent={"lead-1"}).numbers()}
    equal: Numbers = {"sent": 1}
    assert differences(truths, {"events": {part(1, "A"): equal, part(1, "B"): equal}}) == [
        "step 1, B: sent is 0, events say 1"
    ]
    assert differences(truths, {"events": {}}) != []


def test_an_email_that_came_back_is_not_delivered_however_it_did() -> None:
    truth = Truth(sent=set("abcde"), taken=set("abc"), hard_bounced={"a", "d"}, soft_bounced={"b"}, blocked={"e"})
    assert (truth.numbers()["taken"], truth.numbers()["delivered"]) == (3, 1)


SECOND = timedelta(seconds=1)
AT = datetime.now(UTC) - timedelta(minutes=1)
TRUTHS = {part(1, "A"): Truth(sent={"lead-1"}, taken={"lead-1"}, replied={"lead-1"}).numbers()}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    server = start_migrated(tmp_path_factory.mktemp("world") / "data")
    settings = load(clickhouse_url=server.url, token_keys=f"1:{'0' * 32}")
    with connect(settings) as connected:
        yield connected
    server.stop()


@pytest.fixture
def one(client: Client, request: pytest.FixtureRequest) -> Email:
    """An email of a campaign of the test's own, sent, delivered and answered, which is all of TRUTHS."""
    email = Email(request.node.name[-60:], 1, "A", "lead-1", AT)
    insert(client, email.sent(), email.delivered(), _reply(email, f"{WORDS_OF_A_REPLY}lead-1\n\nBest regards"))
    return email


def insert(client: Client, *events: AnyEvent) -> None:
    insert_lines(client, "events", lines(events))


def _reply(email: Email, text: str) -> Replied:
    reply = email.answered(Replied, SECOND)
    assert isinstance(reply, Replied)
    return replace(reply, text=text)


DOCTORED: dict[str, Callable[[Email], AnyEvent]] = {
    "hard_bounced": lambda one: one.bounced("hard"),
    "soft_bounced": lambda one: one.bounced("soft"),
    "blocked": lambda one: one.bounced("block"),
    "auto_replied": lambda one: one.answered(AutoReplied, SECOND),
    "complained": lambda one: one.answered(Complained, SECOND),
    "openers": lambda one: one.opened(SECOND, "human", "browser"),
    "bot_hits": lambda one: one.opened(SECOND, "bot", "too-quick"),
    "machine_hits": lambda one: one.opened(SECOND, "machine", "apple-privacy"),
    "clickers": lambda one: one.clicked(SECOND, "human", "browser"),
    "unsubscribers": lambda one: one.unsubscribed(SECOND),
    "resubscribed": lambda one: Resubscribed(**one.common("resubscribe", AT)),  # type: ignore[arg-type]
    "skipped_paused": lambda one: Skipped(**one.common("skipped", AT), reason="paused"),  # type: ignore[arg-type]
}


def test_what_clickhouse_says_is_compared_and_every_number_is_asked_for(client: Client, one: Email) -> None:
    said = answers(client, one.campaign, TRUTHS)
    assert differences(TRUTHS, said) == []
    asked = {name for rows in said.values() for numbers in rows.values() for name in numbers}
    assert asked == set(Truth().numbers())


@pytest.mark.parametrize("what", sorted(DOCTORED))
def test_a_doctored_event_is_found(client: Client, one: Email, what: str) -> None:
    insert(client, DOCTORED[what](one))
    found = differences(TRUTHS, answers(client, one.campaign, TRUTHS))
    assert any(f": {what} is 0, events say 1" in line for line in found)


def test_a_reply_of_other_words_is_found(client: Client, one: Email) -> None:
    other = Email(one.campaign, 1, "A", "lead-2", AT)
    insert(client, other.sent(), other.delivered(), _reply(other, "> quoted"))
    both = {"lead-1", "lead-2"}
    truths = {part(1, "A"): Truth(sent=both, taken=both, replied=both).numbers()}
    assert differences(truths, answers(client, one.campaign, truths)) == ["step 1, A: replied is 2, events say 1"]


def test_a_lead_who_is_kept_from_mail_for_no_reason_is_found(client: Client) -> None:
    nobody: dict[str, Numbers] = {"leads": {}, "addresses": {}}
    assert differences(nobody, {"facts": facts(client)}) == []
    insert_lines(client, "lead_facts", lines([Lead(lead="lead-1", fact="invalid", at=AT)]))
    assert differences(nobody, {"facts": facts(client)}) == ["leads: invalid is 0, facts say 1"]


@pytest.fixture
def bad(tmp_path: Path) -> BadList:
    """A bad list of which 40 emails left and 4 bounced, the third beyond the limit."""
    platform, keys = Platform("http://127.0.0.1:9", {}), Keyring({1: b"0" * 32})
    bad = BadList("bad", platform, People(platform.url, None, keys, 1))  # type: ignore[arg-type]
    bad.truth.taken = {f"bad-{n}" for n in range(36)}
    bad.truth.hard_bounced = {f"gone-{n}" for n in range(4)}
    bad.over_at = AT
    bad.close()
    return bad


PAUSED = {"paused": True, "paused_reason": "bounces"}


def test_a_bad_list_that_paused_itself_is_told_with_how_long_that_took(bad: BadList) -> None:
    told, wrong = bad.told([(AT + SECOND / 4, 30, 3)], PAUSED)
    assert wrong == []
    assert "4 of the 40 emails that left bounced; paused 0.25 s after" in told


@pytest.mark.parametrize(
    ("pauses", "state"),
    [
        pytest.param([], PAUSED, id="no event"),
        pytest.param([(AT, 30, 3)] * 2, PAUSED, id="two events"),
        pytest.param([(AT, 30, 3)], {"paused": False, "paused_reason": ""}, id="not paused"),
        pytest.param([(AT, 30, 3)], {"paused": True, "paused_reason": "operator"}, id="another reason"),
        pytest.param([(AT, 19, 3)], PAUSED, id="too few sends"),
        pytest.param([(AT, 40, 2)], PAUSED, id="below the limit"),
        pytest.param([(AT, 41, 4)], PAUSED, id="more than left"),
    ],
)
def test_a_pause_that_is_not_the_truth_is_found(
    bad: BadList, pauses: list[tuple[datetime, int, int]], state: dict[str, object]
) -> None:
    assert bad.told(pauses, state)[1] != []


def test_the_tables_that_the_docs_show_have_our_columns() -> None:
    shown = (ROOT / "docs" / "demo.md").read_text()
    for line in tables({"step 1, A": Truth(sent={"lead-1"}, openers={"lead-1"}).numbers()}).splitlines():
        if "  sent" in line or "  openers" in line:
            assert line.strip() in shown
