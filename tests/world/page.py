"""Asks the page and `/v1` over HTTP all that the world knows better, and tells what differs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import httpx

from tests.world import boards
from tests.world.expected import Said, of_campaign
from tests.world.lives import looked_at, of_all_things, of_lead
from tests.world.platform import Lead, Platform
from tests.world.truth import Numbers, Part, Truth

_AT_ONCE = 4  # leads asked for; the page has two threads
_BOARDS_AT_ONCE = 2  # more, and on a busy machine none is answered in time
_NO_ANSWER = (RuntimeError, httpx.HTTPError)
_BOARDS: dict[str, Callable[[boards.Json], Said]] = {
    "overview": boards.overview,
    "campaign": boards.campaign,
    "ab": boards.ab,
    "deliverability": boards.deliverability,
    "robots": boards.robots,
}
_IN_ORDER = (
    *("Overview", "Campaign board", "A/B board", "Deliverability board", "Robots board", "/v1/campaigns/stats"),
    *("/v1/stats/daily", "/v1/ab", "/v1/leads/timeline", "Lead board"),
)


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
    """Compares what the page and `/v1` say with the truth. What was found right is not asked for again."""

    def __init__(self, platform: Platform, facts: Mapping[str, set[str]]) -> None:
        self._platform = platform
        self._facts = facts
        self._compared: dict[str, Said] = {}  # what was compared with the truth, by the question
        self._right: set[str] = set()  # questions
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._turn_of_boards = asyncio.Semaphore(_BOARDS_AT_ONCE)

    @property
    def compared(self) -> Counter[str]:
        """How many numbers were compared, by who says them."""
        found: Counter[str] = Counter()
        for ought in self._compared.values():
            for source, parts in ought.items():
                found[source] += sum(map(len, parts.values()))
        return found

    def told(self) -> str:
        """How much was compared, for people."""
        compared = self.compared
        parts = ", ".join(f"{source} {compared[source]}" for source in _IN_ORDER if compared[source])
        return f"compared {compared.total()} numbers over HTTP: {parts}"

    async def wrong(self, one: Played) -> list[str]:
        """Ask for everything once. An answer that is none is a difference too, and may be one by the next time."""
        return [*await self.wrong_of_campaign(one), *await self.wrong_of_leads(one)]

    async def wrong_of_campaign(self, one: Played) -> list[str]:
        """What the boards and `/v1` say of the whole campaign; each is asked until it was found right."""
        ought = of_campaign(one.campaign, one.leads[0].domain, one.truths, one.pauses)

        async def of_one(name: str, asked: Callable[[], Awaitable[tuple[list[str], Said]]]) -> list[str]:
            try:
                async with self._turn_of_boards:
                    wrong, said = await asked()
            except _NO_ANSWER as error:
                return [_not_asked(error)]
            true = {source: ought[source] for source in said}
            self._compared[name] = true
            wrong += unequal(true, said)
            if not wrong:
                self._right.add(name)
            return [f"{one.campaign}, {line}" for line in wrong]

        campaign = one.campaign
        asked: dict[str, Callable[[], Awaitable[tuple[list[str], Said]]]] = {
            key: partial(self._of_board, key, read, campaign) for key, read in _BOARDS.items()
        }
        asked |= {
            "stats": partial(self._of_v1, boards.v1_stats, f"/v1/campaigns/{campaign}/stats"),
            "daily": partial(self._of_v1, boards.v1_daily, "/v1/stats/daily", campaign=campaign),
            "A/B": partial(self._of_v1, boards.v1_ab, f"/v1/ab/{campaign}"),
        }
        named = {f"{campaign} {key}": ask for key, ask in asked.items()}
        answers = await asyncio.gather(*(of_one(name, ask) for name, ask in named.items() if name not in self._right))
        return [line for answer in answers for line in answer]

    async def wrong_of_leads(self, one: Played) -> list[str]:
        """What is said of single leads, of those that were not yet found right."""
        ought = {lead.id: of_lead(lead.id, one.truths.values(), self._facts) for lead in one.leads}

        def happened(lead: Lead) -> Numbers:
            return ought[lead.id]["/v1/leads/timeline"][lead.id]

        leads = looked_at(one.leads, happened)
        shown = {lead.id for lead in of_all_things(leads, happened)}  # a board costs five questions, a timeline one

        async def of_one(lead: str) -> list[str]:
            async with self._turn:
                said = boards.v1_timeline(lead, await self._platform.said(f"/v1/leads/{lead}/timeline", limit="500"))
                wrong: list[str] = []
                if lead in shown:
                    board = await self._platform.board("lead", lead=lead)
                    wrong = boards.failed("lead", board)
                    said |= boards.lead(lead, board)
            true = {source: ought[lead][source] for source in said}
            self._compared[lead] = true
            wrong += unequal(true, said)
            if not wrong:
                self._right.add(lead)
            return wrong

        try:
            answers = await asyncio.gather(*(of_one(lead.id) for lead in leads if lead.id not in self._right))
        except _NO_ANSWER as error:
            return [_not_asked(error)]
        return [line for answer in answers for line in answer]

    async def _of_board(self, key: str, read: Callable[[boards.Json], Said], campaign: str) -> tuple[list[str], Said]:
        board = await self._platform.board(key, campaign=campaign)
        return boards.failed(key, board), read(board)

    async def _of_v1(self, read: Callable[[boards.Json], Said], path: str, **question: str) -> tuple[list[str], Said]:
        return [], read(await self._platform.said(path, since="now-1h", **question))


def _not_asked(error: BaseException) -> str:
    return f"the page could not be asked: {error!r}"
