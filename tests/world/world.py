"""The whole world together: who lives in it, and whether what is said of them is true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from clickhouse_connect.driver.client import Client

from schemas.senders import load
from schemas.settings import Settings
from tests.world.badlist import DOMAIN, BadList
from tests.world.mailbox import Mailbox
from tests.world.mailserver import MailServer
from tests.world.page import Page, Played
from tests.world.people import People
from tests.world.platform import Platform
from tests.world.play import Play
from tests.world.questions import answers, facts, pauses
from tests.world.table import tables
from tests.world.truth import differences

SEED = 8058
_LONGEST_LAG = 60.0


class World:
    """Plays at the addresses that the settings give."""

    def __init__(self, settings: Settings, leads: int) -> None:
        headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
        self.platform = Platform(settings.public_url, headers)
        self.mailbox = Mailbox(load(settings))
        self.people = People(settings.public_url, self.mailbox, settings.keyring, SEED)
        self.play = Play("spring-seeds", self.platform, self.people, leads, SEED)
        self.bad = BadList("bad-list", self.platform, self.people)
        self._smtp = MailServer(settings.smtp_port, {"example.net": self.play, DOMAIN: self.bad})
        self._lag = settings.settle_seconds + _LONGEST_LAG
        self._about_the_pause = ""
        self._page = Page(self.platform, self.people.facts)

    async def __aenter__(self) -> World:
        await self._smtp.start()
        await self.mailbox.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._smtp.stop()
        await self.mailbox.stop()
        await self.people.close()
        await self.platform.close()

    async def facts_known(self, client: Client) -> None:
        """Wait until what came back is known of leads and addresses, for a while: the next step depends on it."""
        await self._until_equal(lambda: self._wrong_facts(client))

    async def bad_list_compared(self, client: Client) -> list[str]:
        """The differences of the bad list. It is over long before the last people of the other campaign are."""
        wrong = await self._until_equal(lambda: self._wrong_of(client, self.bad))
        return wrong + await self._until_equal(lambda: self._page.wrong(self._played(self.bad)))

    async def compared(self, client: Client) -> list[str]:
        """The differences that stay: hits settle before they are judged, so what is new may take a while to count.

        Leads are looked at meanwhile, for most are done with everything; the boards when the stream has settled.
        """
        played = self._played(self.play)
        of_leads, wrong = await asyncio.gather(
            self._until_equal(lambda: self._page.wrong_of_leads(played)), self._until_equal(lambda: self._wrong(client))
        )
        wrong += await self._until_equal(lambda: self._page.wrong_of_campaign(played))
        return self.people.complaints + self.play.complaints + self.bad.complaints + wrong + of_leads

    def verdict(self, wrong: list[str]) -> str:
        """Every number of the truth, and whether it is what was said."""
        parts = {where: truth.numbers() for where, truth in sorted(self.play.truths.items())}
        parts |= {"bad list": self.bad.truth.numbers()}
        hits, bots = (sum(numbers[name] for numbers in parts.values()) for name in ("hits", "bot_hits"))
        equal = "EQUAL: every number in ClickHouse, and on the page, is the truth"
        said = [tables(parts), "", f"bot share {bots / max(1, hits):.1%}", self._about_the_pause, self._page.told()]
        unequal = (
            f"{len(wrong)} differences, each a line above that begins with DIFFERENT. Where all numbers of one kind are too\n"
            "low, look for warnings of worker, ingest or inbox above; on a very busy machine play again (--leads 60 is less\n"
            "work). What differs twice on a quiet machine is a bug: please report these lines"
        )
        return "\n".join([*said, unequal if wrong else equal])

    async def _until_equal(self, look: Callable[[], Awaitable[list[str]]]) -> list[str]:
        deadline = time.monotonic() + self._lag
        while (wrong := await look()) and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
        return wrong

    async def _wrong(self, client: Client) -> list[str]:
        wrong = await self._wrong_of(client, self.play) + await self._wrong_of(client, self.bad)
        paused = await asyncio.to_thread(pauses, client, self.bad.campaign)
        self._about_the_pause, about = self.bad.told(paused, await self.platform.campaign(self.bad.campaign))
        return wrong + about + await self._wrong_facts(client)

    async def _wrong_of(self, client: Client, one: Play | BadList) -> list[str]:
        self.bad.close()
        said = await asyncio.to_thread(answers, client, one.campaign, list(one.truths))
        true = {where: truth.numbers() for where, truth in one.truths.items()}
        return [f"{one.campaign}, {line}" for line in differences(true, said)]

    def _played(self, one: Play | BadList) -> Played:
        return Played(one.campaign, one.leads, one.truths, int(one is self.bad))

    async def _wrong_facts(self, client: Client) -> list[str]:
        of_leads = {fact: len(leads) for fact, leads in self.people.facts.items()}
        of_addresses = of_leads | {"replied": 0}  # who replied to one campaign may hear of another
        said = {"facts": await asyncio.to_thread(facts, client)}
        return differences({"leads": of_leads, "addresses": of_addresses}, said)
