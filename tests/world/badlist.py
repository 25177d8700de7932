"""A campaign with a bad list: too many of its addresses are nobody's, so it must pause itself before all is sent.

The world's mail server counts what it saw of it. It takes its time for each of these emails, as a real one does.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from tests.world.mailserver import Received
from tests.world.people import People
from tests.world.platform import Lead, Platform
from tests.world.recipients import NO_SUCH_USER, Kind
from tests.world.truth import Truth, new_truths, part

DOMAIN = "bad.example.net"
LIMIT, AT_LEAST = 0.05, 20  # a campaign's own when it says nothing else
_EMAILS = 600
_BAD_OF_20 = 3  # 15 %
_SECONDS = 0.05  # for each email
_LONGEST = 30.0

_NOBODY = Kind("nobody", 0)
_GONE = Kind("has no mailbox", 0, refusal=NO_SUCH_USER)


class BadList:
    """Asks for all of it at once, in one step and one variant, and waits until nothing more comes."""

    def __init__(self, campaign: str, platform: Platform, people: People) -> None:
        self.campaign = campaign
        self.truths = new_truths()
        self.complaints: list[str] = []
        self.over_at: datetime | None = None  # when the bounce beyond the limit was given
        self._platform = platform
        self._people = people
        kinds = (_GONE if 7 * n % 20 < _BAD_OF_20 else _NOBODY for n in range(_EMAILS))
        leads = (Lead(2 * n, kind, "bad", DOMAIN) for n, kind in enumerate(kinds))  # even: all in variant A
        self._leads = {lead.address: lead for lead in leads}

    @property
    def leads(self) -> list[Lead]:
        return list(self._leads.values())

    @property
    def truth(self) -> Truth:
        return self.truths[part(1, "A")]

    async def play(self) -> None:
        """Ask for all, and wait until it is paused. What is sent and what is not shows only when nothing more comes."""
        await self._platform.declare(self.campaign, "Bad list")
        await self._platform.ask(self.campaign, 1, self._leads.values())
        deadline = asyncio.get_running_loop().time() + _LONGEST
        while not (await self._platform.campaign(self.campaign))["paused"]:
            if asyncio.get_running_loop().time() > deadline:
                self.complaints.append(f"the bad list was not paused within {_LONGEST:.0f} s")
                break
            await asyncio.sleep(0.1)

    def close(self) -> None:
        """What the server has not seen by now was not sent, because the campaign is paused."""
        seen = self.truth.settled
        self.truth.sent = set(seen)
        self.truth.skipped = {lead.id: "paused" for lead in self._leads.values() if lead.id not in seen}
        if not self.truth.skipped:
            self.complaints.append("the bad list was sent whole")

    def told(self, pauses: list[tuple[datetime, int, int]], state: dict[str, object]) -> tuple[str, list[str]]:
        """How it went, for people, and what is wrong about it. `state` is what `/v1` says of the campaign."""
        sent, bounced = len(self.truth.sent), len(self.truth.hard_bounced)
        if len(pauses) != 1 or self.over_at is None:
            return "", [f"the bad list was paused {len(pauses)} times"]
        (at, counted, hard), wrong = pauses[0], []
        if (state["paused"], state["paused_reason"]) != (True, "bounces"):
            wrong.append(f"the bad list is paused for bounces, /v1 says {state['paused']}, {state['paused_reason']!r}")
        if not (AT_LEAST <= counted <= sent and LIMIT * counted < hard <= bounced):
            wrong.append(f"the bad list was paused when {hard} of {counted} emails had bounced")
        took = (at.replace(tzinfo=UTC) - self.over_at).total_seconds()
        return (
            f"bad list: {bounced} of the {sent} emails that left bounced; paused {took:.2f} s after the bounce beyond "
            f"the limit, and {len(self.truth.skipped)} of {len(self._leads)} emails never left"
        ), wrong

    async def asked(self, address: str) -> str:
        lead = self._leads[address]
        await asyncio.sleep(_SECONDS)
        if lead.kind.refusal is None:
            return ""
        self.truth.hard_bounced.add(lead.id)
        self.truth.bounced_for[lead.id] = lead.kind.refusal.category
        self._people.facts["invalid"].add(lead.id)
        self._look()
        return lead.kind.refusal.says

    async def before_250(self, address: str, mail: Received) -> None:
        pass

    def after_250(self, address: str, mail: Received) -> None:
        lead = self._leads[address]
        if lead.id in self.truth.settled:
            self.complaints.append(f"{lead.id} got an email twice")
        self.truth.taken.add(lead.id)
        self._look()

    def _look(self) -> None:
        sent, bounced = len(self.truth.settled), len(self.truth.hard_bounced)
        if self.over_at is None and sent >= AT_LEAST and bounced > LIMIT * sent:
            self.over_at = datetime.now(UTC)
