"""Recipients at work: each action over HTTP and each answer by mail, written down as truth in the same breath."""

from __future__ import annotations

import random
from collections import defaultdict
from urllib.parse import urlsplit

import httpx

from schemas.tokens import Keyring
from tests.world import answers
from tests.world.mailbox import Mailbox
from tests.world.mailserver import Received
from tests.world.platform import Lead
from tests.world.questions import WORDS_OF_A_REPLY
from tests.world.recipients import FULL, NO_SUCH_USER, Action, Answer
from tests.world.truth import FACTS, Hit, Truth

_ENEMY = b"a key that an enemy made up"


class People:
    """Does what the kinds of recipients do. `facts` is for what each lead is to get no more mail: lead ids by fact."""

    def __init__(self, url: str, mailbox: Mailbox, keys: Keyring, seed: int) -> None:
        self.facts: defaultdict[str, set[str]] = defaultdict(set)
        self.complaints: list[str] = []
        self.luck = random.Random(seed)
        self._host = urlsplit(url).hostname
        self._mailbox = mailbox
        self._keys = keys
        self._others = Keyring(dict.fromkeys(keys.keys, _ENEMY))
        # Scanners wait for nobody: a hit of theirs that comes late would be taken for a person's.
        self._people, self._robots = (
            httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=40), headers={"Accept": "*/*"})
            for _ in range(2)
        )

    async def close(self) -> None:
        await self._people.aclose()
        await self._robots.aclose()

    def why_not(self, lead: Lead) -> str:
        """Why the lead is to get no more mail, or ""."""
        return next((fact for fact in FACTS if lead.id in self.facts[fact]), "")

    async def act(self, lead: Lead, mail: Received, action: Action, truth: Truth) -> None:
        """Do something with the email over HTTP."""
        if action.what == "open":
            for pixel in mail.pixels:
                await self._hit(pixel, action, truth, lead, truth.openers, expect=200)
        elif action.what in ("click", "click-all"):
            for link in mail.links if action.what == "click-all" else [self.luck.choice(mail.links)]:
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

    async def answer(self, lead: Lead, mail: Received, first: Received, answer: Answer, truth: Truth) -> None:
        """Write to the sender. `truth` is that of the email which is answered: `mail`, or the lead's `first`."""
        original, path, who = mail.headers, mail.return_path, lead.address
        match answer.what:
            case "reply" | "reply-to-the-first":
                if answer.what == "reply-to-the-first":
                    original = first.headers
                written = answers.reply(original, who, WORDS_OF_A_REPLY + lead.id)
                truth.replied.add(lead.id)
                self.facts["replied"].add(lead.id)
            case "out-of-office":
                written = answers.out_of_office(original, who)
                truth.auto_replied.add(lead.id)
            case "bounce-hard":
                written = answers.bounce(original, path, who, "5.1.1", "550 5.1.1 The account does not exist")
                truth.hard_bounced.add(lead.id)
                truth.bounced_for[lead.id] = NO_SUCH_USER.category
                self.facts["invalid"].add(lead.id)
            case "bounce-soft":
                written = answers.bounce(original, path, who, "5.2.2", "552 5.2.2 The mailbox is full")
                truth.soft_bounced.add(lead.id)
                truth.bounced_for[lead.id] = FULL
            case "complaint":
                written = answers.complaint(original, self._mailbox.address)
                truth.complained.add(lead.id)
                self.facts["complained"].add(lead.id)
            case "read-receipt":
                written = answers.read_receipt(original, who)
            case "calendar-answer":
                written = answers.calendar_answer(original, who)
            case "newsletter":
                written = answers.newsletter(who, self._mailbox.address)
            case "forged-bounce" | "forged-complaint":
                fake, path = answers.forged(original, path, self._keys, self._others)
                if answer.what == "forged-bounce":
                    written = answers.bounce(fake, path, who, "5.1.1", "550 5.1.1 The account does not exist")
                else:
                    written = answers.complaint(fake, self._mailbox.address)
        await self._mailbox.put(written, answer.folder)

    async def _hit(self, url: str, action: Action, truth: Truth, lead: Lead, people: set[str], expect: int) -> None:
        answer = await self._fetch(action.method, url, action, expect)
        known = {"shop.example.com"} if action.what != "follow-hidden" else {self._host}
        if expect == 302 and urlsplit(answer.headers.get("location", "")).hostname not in known:
            self.complaints.append(f"a link leads to {answer.headers.get('location')!r}")
        link = answer.headers.get("location", "") if expect == 302 else ""
        truth.done.append(Hit(lead.id, "click" if expect == 302 else "open", action.verdict, action.agent, link))
        truth.hits += 1
        truth.bot_hits += action.verdict == "bot"
        truth.machine_hits += action.verdict == "machine"
        if action.verdict == "human":
            people.add(lead.id)

    async def _unsubscribe(self, lead: Lead, mail: Received, action: Action, truth: Truth) -> None:
        if action.what in ("unsubscribe-page", "take-back-unsubscribe"):
            await self._fetch("GET", mail.unsubscribe, action, expect=200)
            await self._fetch("POST", mail.unsubscribe, action, expect=200, data={"confirm": "1"})
            if action.what == "take-back-unsubscribe":
                await self._fetch("POST", mail.unsubscribe, action, expect=200, data={"undo": "1"})
                truth.resubscribed.add(lead.id)
                return
        elif lead.number % 2:
            await self._fetch("POST", mail.one_click, action, expect=200, data={"List-Unsubscribe": "One-Click"})
        else:
            form = {"List-Unsubscribe": (None, "One-Click")}
            await self._fetch("POST", mail.one_click, action, expect=200, files=form)
        truth.unsubscribers.add(lead.id)
        self.facts["unsubscribed"].add(lead.id)

    async def _fetch(self, method: str, url: str, action: Action, expect: int, **body: object) -> httpx.Response:
        agent = {"User-Agent": action.agent}
        client = self._robots if action.after[0] == 0 else self._people
        answer = await client.request(method, url, headers=agent, **body)  # type: ignore[arg-type]
        if answer.status_code != expect:
            self.complaints.append(f"{method} of {action.what} was answered {answer.status_code}, not {expect}")
        return answer
