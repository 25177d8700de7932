"""A sender with all that surrounds it: a real mail server, and the state it reads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.sender.attempt_log import AttemptLog, attempts_view
from agents.sender.sender import Sender
from agents.sender.sender_state import SenderState
from agents.sender.wait_queue import waits_view
from agents.transport.smtp import SmtpPool
from decisions.sending.gate import PriorSend
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send
from schemas.senders import load
from schemas.settings import Settings
from schemas.state.attempts import Attempt, Wait
from schemas.topics import CAMPAIGNS, DELIVERIES, LEADS, PAUSES
from stream.state import StateTopic
from tests.agents.mails import KEYRING, NOW, a_send
from tests.agents.transport.smtp_server import Server

PATIENCE = 10.0


@dataclass
class House:
    """A sender with all it needs: the mail server, the state it reads, the links and questions it puts out."""

    server: Server
    settings: Settings
    campaigns: StateTopic[Campaign]
    pauses: StateTopic[Pause]
    leads: StateTopic[Lead]
    deliveries: StateTopic[Delivery]
    sent_before: dict[str, PriorSend] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    waits: StateTopic[Wait] = None  # type: ignore[assignment]
    attempts: StateTopic[Attempt] = None  # type: ignore[assignment]
    begun: list[Attempt] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    on_links: Callable[[], None] = lambda: None
    senders: list[Sender] = field(default_factory=list)

    def sender(self, **changes: Any) -> Sender:
        """A sender as a worker that has just started has it."""
        arguments: dict[str, Any] = {
            "already_sent": self._already_sent,
            "publish_links": self._publish_links,
            "outage_seconds": (0.01, 0.05),
        }
        attempts = AttemptLog(self.attempts, changes.pop("begin", self._begin))
        views = (self.campaigns, self.pauses, self.leads, self.deliveries, self.waits)
        known = SenderState(*views, attempts, patience=0.05)
        senders = changes.pop("accounts", None) or load(self.settings)
        self.senders.append(Sender(self.settings, senders, known, **arguments | changes))
        return self.senders[-1]

    async def _begin(self, attempt: Attempt) -> None:
        await asyncio.sleep(0.001)  # an acknowledgement takes its time
        self.begun.append(attempt)

    async def _already_sent(self, ids: list[str]) -> dict[str, PriorSend]:
        self.asked.append(ids)
        if self.failures:
            raise self.failures.pop()
        return {id_: self.sent_before[id_] for id_ in ids if id_ in self.sent_before}

    async def _publish_links(self, links: list[Link]) -> None:
        await asyncio.sleep(0.01)  # an acknowledgement takes its time
        if self.failures:
            raise self.failures.pop()
        self.on_links()
        self.links += links


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with Server() as server:
        settings = Settings(  # type: ignore[call-arg]
            _env_file=None,
            smtp_port=server.port,
            smtp_connections=2,
            token_keys=",".join(f"{id_}:{secret.decode()}" for id_, secret in KEYRING.keys.items()),
        )
        house = House(
            server,
            settings,
            StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id),
            StateTopic(settings, PAUSES, Pause, lambda pause: pause.campaign),
            StateTopic(settings, LEADS, Lead, lambda lead: lead.key),
            StateTopic(settings, DELIVERIES, Delivery, lambda delivery: delivery.delivery_id),
        )
        house.waits, house.attempts = waits_view(settings), attempts_view(settings)
        for view in (house.campaigns, house.pauses, house.leads, house.deliveries, house.waits, house.attempts):
            view.current_at = math.inf
        house.campaigns.put(Campaign(id="spring", name="Spring", created_at=NOW))
        yield house
        for sender in house.senders:
            await sender.close()


def pool_of(sender: Sender) -> SmtpPool:
    """The connections of its only account."""
    (route,) = sender.routes.all
    assert isinstance(route.transport, SmtpPool)
    return route.transport


def to(lead: str, **changes: Any) -> Send:
    return a_send(lead=lead, to=f"{lead}@example.net", **changes)
