"""The state a sender decides by: views of the state topics, each with the moment up to which it is current."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from agents.sender.attempt_log import AttemptLog
from agents.sender.outage import Outage
from decisions.sending.gate import AcceptedUnrecorded, OutcomeUnknown, PriorSend, Proceed, Replay, Skip, gate
from schemas.addresses import mailbox
from schemas.events import Campaign, Delivery, Lead, Pause, Send
from schemas.state.attempts import Wait, Waiting
from schemas.tokens import Keyring

T_co = TypeVar("T_co", covariant=True)

GateDecision = Proceed | Skip | Replay | AcceptedUnrecorded | OutcomeUnknown

REMEMBERED = 100_000  # deliveries this process has settled, until the topic and ClickHouse show them
VIEW_PATIENCE_SECONDS = 5.0


class CurrentView(Protocol):
    """A view that knows how old it is."""

    async def wait_until_current(self, moment: float, patience: float) -> bool: ...


class View(CurrentView, Protocol[T_co]):
    """What the sender asks of a StateTopic."""

    def get(self, key: str) -> T_co | None: ...


class WaitsView(View[Wait], Protocol):
    """What the sender asks of the view of waiting emails."""

    def put(self, record: Wait) -> None: ...


@dataclass
class SenderState:
    """All views. `patience` is how long a view may lag before the lag is logged and waited out, in seconds."""

    campaigns: View[Campaign]
    pauses: View[Pause]
    leads: View[Lead]
    deliveries: View[Delivery]
    waits: WaitsView
    attempts: AttemptLog
    patience: float = VIEW_PATIENCE_SECONDS
    _settled: OrderedDict[str, PriorSend] = field(default_factory=OrderedDict)

    async def show(self, moment: float, outage: Outage) -> None:
        """Return when all show what was written before `moment` (epoch seconds). Raises Stopped."""
        views: tuple[CurrentView, ...] = (
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

    def already(self, delivery_id: str, performed: Wait | None = None) -> PriorSend | None:
        """What is known here of an earlier request. `performed` is the wait that is being ended right now."""
        if delivery_id in self._settled:
            return self._settled[delivery_id]
        delivery = self.deliveries.get(delivery_id)
        if delivery is not None:
            return PriorSend(delivery.request_id, delivery.at)
        wait = self.waits.get(delivery_id)
        if wait is None:
            return None if performed is None else PriorSend(performed.request_id)  # settled by somebody meanwhile
        same = performed is not None and (wait.state, wait.attempt, wait.at) == (
            performed.state,
            performed.attempt,
            performed.at,
        )
        return None if same else PriorSend(wait.request_id)

    def gate(
        self, send: Send, keyring: Keyring, earlier: PriorSend | None, performed: Wait | None, now: datetime
    ) -> GateDecision:
        """May it go out?"""
        attempt = self.attempts.open(send.delivery_id)
        if attempt is not None and performed is not None and attempt.attempt <= performed.attempt:
            attempt = None  # its outcome is that it waits
        to = mailbox(send.to)
        return gate(
            send,
            self.campaigns.get(send.campaign),
            self.pauses.get(send.campaign),
            self.leads.get,
            keyring.address_ids(to.address),
            self.already(send.delivery_id, performed) or earlier,
            attempt,
            keyring.lead_ids(send.lead),
            keyring.domain_ids(to.domain),
            now=now,
        )

    def settle(self, send: Send) -> None:
        """Mark the email as settled in this process."""
        self._settled[send.delivery_id] = PriorSend(send.request_id)
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    def wait(self, waiting: Waiting) -> None:
        """Record in this process that the email waits, or no longer waits."""
        self.waits.put(waiting)
