"""What a sender knows when it decides: the state topics, each with the moment up to which it is current."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agents.attempts import Attempts
from agents.decisions.gate import Already, Go, Replay, Skip, Unclear, gate
from agents.decisions.mime import mailbox
from agents.outage import Outage
from schemas.attempts import Wait, Waiting
from schemas.events import Campaign, Delivery, Lead, Pause, Send
from schemas.tokens import Keyring

T_co = TypeVar("T_co", covariant=True)

Verdict = Go | Skip | Replay | Unclear

REMEMBERED = 100_000  # deliveries this process has settled, until the topic and ClickHouse show them
VIEW_PATIENCE_SECONDS = 5.0


class Current(Protocol):
    """A view that knows how old it is."""

    async def wait_until_current(self, moment: float, patience: float) -> bool: ...


class View(Current, Protocol[T_co]):
    """What the sender asks of a StateTopic."""

    def get(self, key: str) -> T_co | None: ...


class Waits(View[Wait], Protocol):
    """What it asks of the emails that wait."""

    def put(self, record: Wait) -> None: ...


@dataclass
class Known:
    """All of it. `patience` is how long a view may lag before that is said and waited for, in seconds."""

    campaigns: View[Campaign]
    pauses: View[Pause]
    leads: View[Lead]
    deliveries: View[Delivery]
    waits: Waits
    attempts: Attempts
    patience: float = VIEW_PATIENCE_SECONDS
    _settled: OrderedDict[str, Already] = field(default_factory=OrderedDict)

    async def show(self, moment: float, outage: Outage) -> None:
        """Return when all show what was written before `moment` (epoch seconds). Raises Stopped."""
        views: tuple[Current, ...] = (
            self.campaigns,
            self.pauses,
            self.leads,
            self.deliveries,
            self.waits,
            self.attempts.view,
        )
        for view in views:
            while not await view.wait_until_current(moment, self.patience):
                outage.failed("a state topic is behind")
                await outage.wait()
        outage.over()

    def already(self, delivery_id: str, performed: Wait | None = None) -> Already | None:
        """What is known here of an earlier request. `performed` is the wait that is being ended right now."""
        if delivery_id in self._settled:
            return self._settled[delivery_id]
        delivery = self.deliveries.get(delivery_id)
        if delivery is not None:
            return Already(delivery.request_id)
        wait = self.waits.get(delivery_id)
        if wait is None:
            return None if performed is None else Already(performed.request_id)  # settled by somebody meanwhile
        same = performed is not None and (wait.state, wait.attempt, wait.at) == (
            performed.state,
            performed.attempt,
            performed.at,
        )
        return None if same else Already(wait.request_id)

    def gate(self, send: Send, keyring: Keyring, earlier: Already | None, performed: Wait | None) -> Verdict:
        """May it go out?"""
        attempt = self.attempts.open(send.delivery_id)
        if attempt is not None and performed is not None and attempt.attempt <= performed.attempt:
            attempt = None  # its outcome is that it waits
        return gate(
            send,
            self.campaigns.get(send.campaign),
            self.pauses.get(send.campaign),
            self.leads.get,
            keyring.address_ids(mailbox(send.to).address),
            self.already(send.delivery_id, performed) or earlier,
            attempt,
            keyring.lead_ids(send.lead),
        )

    def settle(self, send: Send) -> None:
        """It has its final answer, from now on, in this process."""
        self._settled[send.delivery_id] = Already(send.request_id)
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    def wait(self, waiting: Waiting) -> None:
        """It waits, or waits no more, from now on, in this process."""
        self.waits.put(waiting)
