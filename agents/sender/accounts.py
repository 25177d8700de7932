"""The accounts that mail leaves by: each with connections of its own, an outage of its own and limits of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agents.sender.account_limits import AccountLimits
from agents.sender.outage import Outage
from agents.transport.dkim import Sign, signer
from agents.transport.smtp import SmtpPool
from agents.transport.transport import Transport
from schemas.senders import Account, Senders

MakeTransport = Callable[[Account], Transport]


@dataclass(frozen=True, slots=True)
class Route:
    """How one account's mail leaves."""

    account: Account
    transport: Transport
    outage: Outage
    # Twice the connections, so that an email is ready whenever one becomes free, and no more are held in memory.
    slots: asyncio.Semaphore
    sign: Sign | None


class Routes:
    """Finds the route of an email by its From address. `transport` makes the way out of an account, SMTP unless it says
    otherwise. Raises Misconfigured when a DKIM key can't be used."""

    def __init__(
        self,
        senders: Senders,
        *,
        connections: int,
        clock: Callable[[], datetime],
        outage: Callable[[str], Outage],
        transport: MakeTransport | None = None,
    ) -> None:
        sending = senders.leaving
        self.limits = AccountLimits(sending)
        make = transport or _smtp(senders, connections, clock)
        self.alone = len(sending) == 1  # nobody else waits while its server is away
        self._senders = senders
        self._routes: dict[str, Route] = {}
        for account in sending:
            if account.smtp is None:
                continue
            way_out = make(account)
            what = f"smtp {account.address}".rstrip()
            slots = asyncio.Semaphore(2 * connections)
            self._routes[account.address] = Route(account, way_out, outage(what), slots, signer(account))

    def of(self, address: str) -> Route | None:
        """The route of mail from this address; None when no account may send as it."""
        account = self._senders.sending(address)
        return None if account is None else self._routes[account.address]

    @property
    def all(self) -> list[Route]:
        return list(self._routes.values())

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(route.transport.close() for route in self._routes.values()))


def _smtp(senders: Senders, connections: int, clock: Callable[[], datetime]) -> MakeTransport:
    """SMTP to each account's own server, with a credential that is reread at each login."""

    def make(account: Account) -> Transport:
        smtp = account.smtp
        if smtp is None:
            raise ValueError(f"{account.address} has no [account.smtp]")
        return SmtpPool(smtp, clock=clock, connections=connections, credential=lambda: senders.credential(smtp))

    return make
