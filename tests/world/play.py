"""The play: a two-step, two-variant campaign asked for over HTTP, received over SMTP, and answered over HTTP and IMAP."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.world.mailserver import Received
from tests.world.people import People
from tests.world.platform import SUBJECTS, Lead, Platform, is_asked_twice
from tests.world.recipients import GREYLISTED, GREYLISTED_SECONDS, Answer, population
from tests.world.truth import Truth, new_truths, part

STEPS = (1, 2)
_IN_TIME = 0.6  # seconds after the 250 in which a scanner still comes
_PATIENCE = 240.0


class Play:
    """Plays the campaign and keeps the truth. Its leads live in one house of the mail server."""

    def __init__(self, campaign: str, platform: Platform, people: People, leads: int, seed: int) -> None:
        self.campaign = campaign
        self.truths = new_truths()
        self.complaints: list[str] = []
        self._leads = {lead.address: lead for lead in (Lead(n, k) for n, k in enumerate(population(leads, seed)))}
        self._platform = platform
        self._people = people
        self._step = STEPS[0]
        self._put_off: dict[str, float] = {}
        self._first: dict[str, Received] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def leads(self) -> list[Lead]:
        return list(self._leads.values())

    async def declare(self) -> None:
        """Some leads of this world have no mailbox. Whether that pauses a campaign is played by the bad list."""
        await self._platform.declare(self.campaign, "Spring seeds", check_reply=True, bounce_limit=1)

    async def send_step(self, step: int) -> None:
        """Ask for a step's emails, some of them twice: once more with the same step and lead is the same email."""
        self._step = step
        for lead in self._leads.values():
            truth = self._truth(lead, step)
            if why_not := self._people.why_not(lead):
                truth.skipped[lead.id] = why_not
                if is_asked_twice(lead):
                    truth.skipped_twice.add(lead.id)
            else:
                truth.sent.add(lead.id)
                if is_asked_twice(lead):
                    truth.asked_again.add(lead.id)
        await self._platform.ask(self.campaign, step, self._leads.values(), some_twice=True)

    async def all_arrived(self) -> None:
        """Wait until the mail server has answered to every email of the step."""
        deadline = _now() + _PATIENCE
        while unsettled := sum(len(truth.sent - truth.settled) for truth in self.truths.values()):
            if _now() > deadline:
                self.complaints.append(f"waited {_PATIENCE:.0f} s: {unsettled} emails did not come")
                return
            await asyncio.sleep(0.1)

    async def all_done(self) -> None:
        """Wait until everybody has done what they do."""
        while self._under_way:
            await asyncio.wait(self._under_way, timeout=_PATIENCE)

    def progress(self) -> str:
        def count(*names: str) -> int:
            return sum(t.numbers()[name] for t in self.truths.values() for name in names)

        bounced = count("hard_bounced", "soft_bounced", "blocked")
        return (
            f"{count('taken')} emails arrived, {bounced} bounced; {count('openers')} opened, {count('clickers')} clicked, "
            f"{count('replied')} replied, {count('complained')} complained, {count('unsubscribers')} unsubscribed; "
            f"{count('bot_hits')} of {count('hits')} hits by robots"
        )

    async def asked(self, address: str) -> str:
        lead = self._leads[address]
        if lead.kind.refusal is not None:
            truth = self._truth(lead, self._step)
            truth.bounced_for[lead.id] = lead.kind.refusal.category
            if lead.kind.refusal.means == "hard":
                truth.hard_bounced.add(lead.id)
                self._people.facts["invalid"].add(lead.id)
            else:
                truth.blocked.add(lead.id)
            return lead.kind.refusal.says
        if lead.kind.greylisted:
            deferred = self._truth(lead, self._step).deferred
            if lead.id not in deferred:
                deferred.add(lead.id)
                self._put_off[lead.id] = _now()
                return GREYLISTED
            if (waited := _now() - self._put_off[lead.id]) < GREYLISTED_SECONDS:
                self.complaints.append(
                    f"told to wait {GREYLISTED_SECONDS} s, the sender came back after {waited:.1f} s"
                )
        return ""

    async def before_250(self, address: str, mail: Received) -> None:
        lead = self._leads[address]
        for action in lead.kind.before_250:
            await self._people.act(lead, mail, action, self._truth(lead, self._step))

    def after_250(self, address: str, mail: Received) -> None:
        lead, step = self._leads[address], self._step
        truth = self._truth(lead, step)
        if mail.headers["Subject"] != SUBJECTS[step, lead.variant] or lead.id not in truth.sent - truth.taken:
            self.complaints.append(f"{lead.id} got an email that it should not have: {mail.headers['Subject']}")
            return
        truth.taken.add(lead.id)
        self._first.setdefault(lead.id, mail)
        now = _now()
        if lead.kind.actions:
            self._start(self._act(lead, step, mail, now))
        for answer in lead.kind.answers:
            if step > STEPS[0] or answer.what != "reply-to-the-first":
                self._start(self._answer(lead, step, mail, answer, now + self._people.luck.uniform(*answer.after)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.complaints.append(f"somebody could not do what they do: {error!r}")

    async def _act(self, lead: Lead, step: int, mail: Received, taken_at: float) -> None:
        """One action after the other. However slow the machine, any two stay as far apart as their times say."""
        done: list[tuple[float, float]] = []  # when each was over, and when it should have been at the latest
        for action in lead.kind.actions:
            first, last = action.after
            not_before = max((at + first - latest for at, latest in done), default=0.0)
            at = max(taken_at + self._people.luck.uniform(first, last), not_before)
            await asyncio.sleep(at - _now())
            if last > _IN_TIME or _now() < taken_at + _IN_TIME:
                await self._people.act(lead, mail, action, self._truth(lead, step))
            done.append((_now(), last))

    async def _answer(self, lead: Lead, step: int, mail: Received, answer: Answer, at: float) -> None:
        await asyncio.sleep(at - _now())
        first = self._first[lead.id]
        about = STEPS[0] if answer.what == "reply-to-the-first" else step
        await self._people.answer(lead, mail, first, answer, self._truth(lead, about))

    def _truth(self, lead: Lead, step: int) -> Truth:
        return self.truths[part(step, lead.variant)]


def _now() -> float:
    return asyncio.get_running_loop().time()
