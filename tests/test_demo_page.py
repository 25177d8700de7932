"""The page is compared with the truth: what a board or `/v1` says is found when it is not what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from msgspec.structs import replace

from clickhouse.query_client import QueryClient
from clickhouse.store import connect, insert_lines
from dashboards.page.page import router
from ingest.api.ab import ab_routes
from ingest.api.named_queries import NamedQueries
from ingest.api.stats import stats_routes
from ingest.api.timeline import timeline_routes
from schemas.events import (
    AnyEvent,
    AutoReplied,
    Campaign,
    CampaignPaused,
    Complained,
    Deferred,
    Replied,
    Skipped,
    lines,
)
from schemas.events import (
    Lead as LeadFact,
)
from schemas.settings import Settings, load
from tests.dashboards.data import Email
from tests.support.migrated import start_migrated
from tests.support.served import served
from tests.world.page import Page, Played, unequal
from tests.world.platform import Lead, Platform
from tests.world.questions import WORDS_OF_A_REPLY
from tests.world.recipients import KINDS
from tests.world.truth import Truth, part

SECOND = timedelta(seconds=1)
AT = datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    server = start_migrated(tmp_path_factory.mktemp("world") / "data")
    settings = load(clickhouse_url=server.url, token_keys=f"1:{'0' * 32}")
    yield settings
    server.stop()


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    with connect(settings) as connected:
        yield connected


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    """The page and the numbers of `/v1`, as ingest serves them. Every campaign is a declared one."""
    reader = QueryClient(lambda: connect(settings), keep_seconds=0)

    async def known(campaign: str) -> Campaign:
        return Campaign(id=campaign, name=campaign, created_at=AT)

    app = FastAPI()
    app.include_router(router(settings))
    for routes in (
        stats_routes(settings, NamedQueries(reader), known),
        ab_routes(settings, NamedQueries(reader), known),
        timeline_routes(settings, NamedQueries(reader)),
    ):
        app.include_router(routes, prefix="/v1")
    with served(app) as served_at:
        yield served_at
    reader.close()


class Shown:
    """A campaign of two emails, A and B, both delivered and one answered, and what the page is said to be wrong about."""

    def __init__(self, client: Client, platform: Platform, name: str) -> None:
        self._client = client
        leads = [Lead(number, KINDS[0], name) for number in (0, 1)]
        self.one, other = (Email(name, 1, lead.variant, lead.id, AT) for lead in leads)
        both = [self.one, other]
        truths = {part(1, email.variant): Truth(sent={email.lead}, taken={email.lead}) for email in both}
        truths[part(1, "A")].replied = {self.one.lead}
        self.played = Played(name, leads, truths, 0)
        self.page = Page(platform, {"complained": set(), "unsubscribed": set(), "invalid": set()})
        reply = self.one.answered(Replied, SECOND)
        assert isinstance(reply, Replied)
        words = replace(reply, text=f"{WORDS_OF_A_REPLY}{self.one.lead}")
        self.tell(*(email.sent() for email in both), *(email.delivered() for email in both), words)

    def tell(self, *events: AnyEvent) -> None:
        insert_lines(self._client, "events", lines(events))

    def tell_fact(self, fact: LeadFact) -> None:
        insert_lines(self._client, "lead_facts", lines([fact]))

    async def wrong(self) -> list[str]:
        return await self.page.wrong(self.played)

    async def liars(self) -> set[str]:
        return {line.partition(" says ")[0].rpartition(", ")[2] for line in await self.wrong()}


@pytest.fixture
async def shown(client: Client, url: str, request: pytest.FixtureRequest) -> AsyncIterator[Shown]:
    platform = Platform(url, {})
    yield Shown(client, platform, f"c{sha256(request.node.name.encode()).hexdigest()[:12]}")
    await platform.close()


async def test_the_truth_is_found_to_be_the_truth_and_is_counted(shown: Shown) -> None:
    assert await shown.wrong() == []
    assert set(shown.page.compared) == EVERYBODY
    assert shown.page.told().startswith(f"compared {shown.page.compared.total()} numbers over HTTP: Overview ")
    assert shown.page.compared.total() > 200


LEAD = {"Lead board", "/v1/leads/timeline"}
COUNTED = {"Overview", "Campaign board", "Deliverability board", "/v1/campaigns/stats", "/v1/stats/daily"}
TESTED = {"A/B board", "/v1/ab"}
EVERYBODY = COUNTED | TESTED | LEAD | {"Robots board"}

DOCTORED: dict[str, tuple[Callable[[Email], AnyEvent], set[str]]] = {
    "a bounce": (lambda one: one.bounced("hard"), COUNTED | TESTED | LEAD),
    "an automatic answer": (lambda one: one.answered(AutoReplied, SECOND), LEAD),
    "a complaint": (lambda one: one.answered(Complained, SECOND), COUNTED | LEAD),
    "a person's open": (lambda one: one.opened(SECOND, "human", "browser"), EVERYBODY),
    "a person's click": (lambda one: one.clicked(SECOND, "human", "browser"), EVERYBODY),
    "a robot's open": (lambda one: one.opened(SECOND, "bot", "too-quick"), EVERYBODY - TESTED),
    "an unsubscription": (lambda one: one.unsubscribed(SECOND), COUNTED | LEAD),
    "a skip": (lambda one: Skipped(**one.common("skipped", AT), reason="duplicate"), LEAD),  # type: ignore[arg-type]
    "a deferral": (lambda one: _put_off(one), LEAD | {"Deliverability board"}),
    "a second answer": (lambda one: replace(_answer(one), id=str(one.id)), LEAD | {"Campaign board"}),
    "a pause": (
        lambda one: CampaignPaused(id=str(one.id), at=AT, campaign=one.campaign, reason="bounces"),
        {"Deliverability board"},
    ),
}


def _put_off(one: Email) -> Deferred:
    said = {"sender": "news@example.com", "attempt": 1, "status": "4.7.1", "diagnostic": "later"}
    return Deferred(**one.common("deferred", AT), **said)  # type: ignore[arg-type]


def _answer(one: Email) -> Replied:
    reply = one.answered(Replied, 2 * SECOND)
    assert isinstance(reply, Replied)
    return reply


@pytest.mark.parametrize("what", sorted(DOCTORED))
async def test_a_doctored_answer_is_found_on_every_board_that_shows_it(shown: Shown, what: str) -> None:
    event, shows_it = DOCTORED[what]
    shown.tell(event(shown.one))
    assert await shown.liars() == shows_it


async def test_a_fact_of_a_lead_that_is_none_is_found(shown: Shown) -> None:
    shown.tell_fact(LeadFact(lead=shown.one.lead, fact="invalid", at=AT))
    assert await shown.liars() == LEAD


async def test_a_lead_is_asked_for_until_it_is_right_and_then_no_more(shown: Shown) -> None:
    shown.tell(shown.one.answered(AutoReplied, SECOND))
    for _ in range(2):
        assert await shown.page.wrong_of_leads(shown.played) != []
    shown.played.truths[part(1, "A")].auto_replied = {shown.one.lead}
    assert await shown.page.wrong_of_leads(shown.played) == []
    shown.tell(shown.one.bounced("hard"))
    assert await shown.page.wrong_of_leads(shown.played) == []
    assert await shown.page.wrong_of_campaign(shown.played) != []


async def test_a_page_that_can_not_be_asked_is_not_the_truth(shown: Shown) -> None:
    platform = Platform("http://127.0.0.1:9", {})
    told = await Page(platform, {}).wrong_of_campaign(shown.played)
    assert told
    assert all("the page could not be asked" in line for line in told)
    await platform.close()


def test_a_row_that_is_missing_and_one_too_many_are_told() -> None:
    ought, said = {"Robots board": {"a": {"hits": 1}}}, {"Robots board": {"b": {"hits": 2}}}
    assert unequal(ought, said) == [
        "a: hits is 1, Robots board says 0",
        "b: hits is 0, Robots board says 2",
    ]
