"""Asks the page and `/v1` over HTTP all that the world knows better, and tells what differs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from tests.world import boards
from tests.world.expected import Said, of_campaign
from tests.world.lives import looked_at, of_all_things, of_lead
from tests.world.platform import Lead, Platform
from tests.world.truth import Numbers, Part, Truth

_AT_ONCE = 4  # leads asked for; the page has two threads
_BOARDS: dict[str, Callable[[boards.Json], Said]] = {
    "overview": boards.overview,
    "campaign": boards.campaign,
    "ab": boards.ab,
    "deliverability": boards.deliverability,
    "robots": boards.robots,
}


@dataclass(frozen=True)
class Played:
    """A campaign that was played: its leads, the truth of its parts, and how often it was paused."""

    campaign: str
    leads: list[Lead]
    truths: Mapping[Part, Truth]
    pauses: int


def unequal(ought: Said, said: Said) -> list[str]:
    """Every number that differs, a line each. What one of the two doesn't have at all is 0."""
    wrong = []
    for source in sorted(ought.keys() | said.keys()):
        true_rows, found_rows = ought.get(source, {}), said.get(source, {})
        for where in sorted(true_rows.keys() | found_rows.keys()):
            true, found = true_rows.get(where, {}), found_rows.get(where, {})
            for name in sorted(true.keys() | found.keys()):
                if true.get(name, 0) != found.get(name, 0):
                    wrong.append(f"{where}: {name} is {true.get(name, 0)}, {source} says {found.get(name, 0)}")
    return wrong


class Page:
    """Compares what the page and `/v1` say with the truth. `compared` is how many numbers were, by who says them."""

    def __init__(self, platform: Platform, facts: Mapping[str, set[str]]) -> None:
        self.compared: Counter[str] = Counter()
        self._platform = platform
        self._facts = facts

    def told(self) -> str:
        """How much was compared, for people."""
        parts = ", ".join(f"{source} {number}" for source, number in self.compared.items())
        return f"compared {self.compared.total()} numbers over HTTP: {parts}"

    async def wrong(self, played: list[Played]) -> list[str]:
        """Ask for everything once. An answer that is none is a difference too, and may be one by the next time."""
        self.compared.clear()
        try:
            wrong = [line for one in played for line in await self._wrong_of_campaign(one)]
            return wrong + [line for one in played for line in await self._wrong_of_leads(one)]
        except (RuntimeError, httpx.HTTPError) as error:
            return [f"the page could not be asked: {error!r}"]

    async def _wrong_of_campaign(self, one: Played) -> list[str]:
        said: Said = {}
        wrong: list[str] = []
        for key, read in _BOARDS.items():
            board = await self._platform.board(key, campaign=one.campaign)
            wrong += boards.failed(key, board)
            said |= read(board)
        period = {"since": "now-1h"}
        said |= boards.v1_stats(await self._platform.said(f"/v1/campaigns/{one.campaign}/stats", **period))
        said |= boards.v1_daily(await self._platform.said("/v1/stats/daily", campaign=one.campaign, **period))
        said |= boards.v1_ab(await self._platform.said(f"/v1/ab/{one.campaign}", **period))
        ought = of_campaign(one.campaign, one.leads[0].domain, one.truths, one.pauses)
        self._count(ought)
        return [f"{one.campaign}, {line}" for line in wrong + unequal(ought, said)]

    async def _wrong_of_leads(self, one: Played) -> list[str]:
        ought = {lead.id: of_lead(lead.id, one.truths.values(), self._facts) for lead in one.leads}

        def happened(lead: Lead) -> Numbers:
            return ought[lead.id]["/v1/leads/timeline"][lead.id]

        leads = looked_at(one.leads, happened)
        shown = {lead.id for lead in of_all_things(leads, happened)}  # a board costs five questions, a timeline one
        turn = asyncio.Semaphore(_AT_ONCE)

        async def of_one(lead: str) -> list[str]:
            async with turn:
                said = boards.v1_timeline(lead, await self._platform.said(f"/v1/leads/{lead}/timeline", limit="500"))
                wrong: list[str] = []
                if lead in shown:
                    board = await self._platform.board("lead", lead=lead)
                    wrong = boards.failed("lead", board)
                    said |= boards.lead(lead, board)
            true = {source: ought[lead][source] for source in said}
            self._count(true)
            return wrong + unequal(true, said)

        answers = await asyncio.gather(*(of_one(lead.id) for lead in leads))
        return [line for answer in answers for line in answer]

    def _count(self, ought: Said) -> None:
        for source, parts in ought.items():
            self.compared[source] += sum(map(len, parts.values()))
