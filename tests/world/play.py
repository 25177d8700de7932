"""The play: a two-step, two-variant campaign asked for over HTTP, received over SMTP, and answered over HTTP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.world.mailserver import MailServer, Received
from tests.world.recipients import Action, Kind, population
from tests.world.truth import Truth, new_truths

STEPS = (1, 2)
VARIANTS = ("A", "B")
SUBJECTS = {
    (1, "A"): "Your garden in spring",
    (1, "B"): "Three seeds to sow now",
    (2, "A"): "Still time",
    (2, "B"): "Last seeds",
}
_BATCH = 100
_IN_TIME = 1.0  # seconds after the 250 in which a scanner still comes

HTML = """<!DOCTYPE html>
<html><body style="font-family: sans-serif">
<p>Hello {name},</p>
<p>The <a href="https://shop.example.com/seeds?step={step}&amp;variant={variant}">seeds of the season</a> are in, and
<a href='https://shop.example.com/guide'>our planting guide</a> says when to sow them.</p>
<p>Questions? <a href="mailto:help@example.com">Write</a> or <a href="tel:+15550100">call</a>.</p>
</body></html>"""


@dataclass(frozen=True)
class Lead:
    """One recipient. Everything about it is derived from its number."""

    number: int
    kind: Kind

    @property
    def id(self) -> str:
        return f"lead-{self.number:05}"

    @property
    def address(self) -> str:
        return f"{self.id}@example.net"

    @property
    def variant(self) -> str:
        return VARIANTS[self.number % len(VARIANTS)]


class Play:
    """Plays the campaign and keeps the truth. `url` is ingest's; the sender is to deliver to `smtp_port`."""

    def __init__(self, campaign: str, url: str, smtp_port: int, leads: int, seed: int, headers: dict[str, str]) -> None:
        self.campaign = campaign
        self.truths: dict[tuple[int, str], Truth] = new_truths()
        self.leads = {lead.address: lead for lead in (Lead(n, k) for n, k in enumerate(population(leads, seed)))}
        self.arrived = 0
        self.complaints: list[str] = []
        self._gone: set[str] = set()
        self._step = STEPS[0]
        self._luck = random.Random(seed)
        self._url = url
        self._actions: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=40), headers={"Accept": "*/*"})
        self._headers = headers
        self._mail = MailServer(smtp_port, self._refuses, self._before_250, self._after_250)

    async def __aenter__(self) -> Play:
        await self._mail.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._mail.stop()
        await self._http.aclose()

    async def ready(self) -> bool:
        """Whether ingest answers that it is ready."""
        try:
            return (await self._http.get(f"{self._url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def board(self) -> dict[str, Any]:
        """The Overview as the page gets it. Raises httpx.HTTPError."""
        question = {"since": "now-1h", "campaign": self.campaign}
        answer = await self._http.get(f"{self._url}/boards/overview.json", params=question, headers=self._headers)
        return dict(answer.raise_for_status().json())

    async def declare(self) -> None:
        # Some leads of this world have no mailbox. Whether that pauses a campaign is not what is played here.
        await self._post("/v1/campaigns", {"id": self.campaign, "name": "Spring seeds", "bounce_limit": 1})

    async def send_step(self, step: int) -> None:
        """Ask for a step's emails, some of them twice: once more with the same step and lead is the same email."""
        self._step = step
        asked = list(self.leads.values())
        for lead in asked:
            truth = self.truths[step, lead.variant]
            if lead.id in self._gone:
                truth.skipped += 1
            else:
                truth.sent += 1
                truth.hard_bounced += lead.kind.refused
                truth.delivered += not lead.kind.refused
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            await self._ask(step, batch)
            await self._ask(step, [lead for lead in batch if lead.number % 25 == 0])

    async def finish_step(self) -> None:
        """Wait until every email of the step has arrived and everybody has done what they do."""
        expected = sum(t.delivered for (step, _), t in self.truths.items() if step <= self._step)
        deadline = asyncio.get_running_loop().time() + 120
        nowhere = {lead.id for lead in self.leads.values() if lead.kind.refused}
        while self.arrived < expected or self._actions or not nowhere <= self._gone:
            if asyncio.get_running_loop().time() > deadline:
                self.complaints.append(f"waited 120 s: {self.arrived} of {expected} emails arrived")
                return
            await asyncio.sleep(0.1)

    def progress(self) -> str:
        def count(name: str) -> int:
            return sum(t.numbers()[name] for t in self.truths.values())

        names = ("sent", "openers", "clickers", "unsubscribers", "hits", "bot_hits")
        return f"{self.arrived} arrived; " + ", ".join(f"{name.replace('_', ' ')} {count(name)}" for name in names)

    async def _ask(self, step: int, leads: Iterable[Lead]) -> None:
        sends = [
            {
                "campaign": self.campaign,
                "step": step,
                "variant": lead.variant,
                "lead": lead.id,
                "to": lead.address,
                "sender": "Garden Shop <news@shop.example.com>",
                "subject": SUBJECTS[step, lead.variant],
                "html": HTML.format(name=lead.id, step=step, variant=lead.variant),
                "text": "The seeds of the season are in: https://shop.example.com/seeds",
            }
            for lead in leads
        ]
        if sends:
            await self._post("/v1/sends", {"sends": sends})

    async def _post(self, path: str, body: object) -> None:
        answer = await self._http.post(self._url + path, json=body, headers=self._headers)
        if answer.is_error:
            raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text[:500]}")

    def _refuses(self, address: str) -> bool:
        lead = self.leads[address]
        if lead.kind.refused:  # so it is mailed no more
            self._gone.add(lead.id)
        return lead.kind.refused

    async def _before_250(self, address: str, mail: Received) -> None:
        lead = self.leads[address]
        for action in lead.kind.before_250:
            await self._do(lead, self._step, mail, action)

    def _after_250(self, address: str, mail: Received) -> None:
        self.arrived += 1
        lead = self.leads[address]
        now = asyncio.get_running_loop().time()
        for action in lead.kind.actions:
            at = now + self._luck.uniform(*action.after)
            in_time = now + _IN_TIME if action.after[1] < _IN_TIME else None
            task = asyncio.create_task(self._later(lead, self._step, mail, action, at, in_time))
            self._actions.add(task)
            task.add_done_callback(self._actions.discard)

    async def _later(
        self, lead: Lead, step: int, mail: Received, action: Action, at: float, in_time: float | None
    ) -> None:
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        if in_time is None or asyncio.get_running_loop().time() < in_time:
            await self._do(lead, step, mail, action)

    async def _do(self, lead: Lead, step: int, mail: Received, action: Action) -> None:
        """Act, and write down what was done in the same breath."""
        truth = self.truths[step, lead.variant]
        if action.what == "open":
            for pixel in mail.pixels:
                await self._hit(pixel, action, truth, lead, truth.openers, expect=200)
        elif action.what in ("click", "click-all"):
            for link in mail.links if action.what == "click-all" else [self._luck.choice(mail.links)]:
                await self._hit(link, action, truth, lead, truth.clickers, expect=302)
        elif action.what == "follow-hidden":
            if not mail.hidden:
                self.complaints.append("an email without the link that nobody sees")
            for link in mail.hidden:
                await self._hit(link, action, truth, lead, truth.clickers, expect=302)
        elif action.what == "look-at-unsubscribe":
            await self._fetch("GET", mail.unsubscribe, action, expect=200)
        else:
            await self._unsubscribe(lead, mail, action, truth)

    async def _hit(self, url: str, action: Action, truth: Truth, lead: Lead, people: set[str], expect: int) -> None:
        answer = await self._fetch(action.method, url, action, expect)
        known = {"shop.example.com"} if action.what != "follow-hidden" else {urlsplit(self._url).hostname}
        if expect == 302 and urlsplit(answer.headers.get("location", "")).hostname not in known:
            self.complaints.append(f"a link leads to {answer.headers.get('location')!r}")
        truth.hits += 1
        truth.bot_hits += action.verdict == "bot"
        truth.machine_hits += action.verdict == "machine"
        if action.verdict == "human":
            people.add(lead.id)

    async def _unsubscribe(self, lead: Lead, mail: Received, action: Action, truth: Truth) -> None:
        if action.what == "unsubscribe-page":
            await self._fetch("GET", mail.unsubscribe, action, expect=200)
            await self._fetch("POST", mail.unsubscribe, action, expect=200, data={"confirm": "1"})
        elif lead.number % 2:
            await self._fetch("POST", mail.one_click, action, expect=200, data={"List-Unsubscribe": "One-Click"})
        else:
            form = {"List-Unsubscribe": (None, "One-Click")}
            await self._fetch("POST", mail.one_click, action, expect=200, files=form)
        truth.unsubscribers.add(lead.id)
        self._gone.add(lead.id)

    async def _fetch(self, method: str, url: str, action: Action, expect: int, **body: object) -> httpx.Response:
        agent = {"User-Agent": action.agent}
        answer = await self._http.request(method, url, headers=agent, **body)  # type: ignore[arg-type]
        if answer.status_code != expect:
            self.complaints.append(f"{method} of {action.what} was answered {answer.status_code}, not {expect}")
        return answer
