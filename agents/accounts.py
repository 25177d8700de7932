"""The accounts that mail leaves by: each with connections of its own, an outage of its own and limits of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agents.limits import Limits
from agents.outage import Outage
from agents.signing import Sign, signer
from agents.sinks.smtp import SmtpPool
from schemas.senders import Account, Credential, Senders


@dataclass(frozen=True, slots=True)
class Outlet:
    """One account at work."""

    account: Account
    pool: SmtpPool
    outage: Outage
    # Twice the connections, so that an email is ready whenever one becomes free, and no more are held in memory.
    slots: asyncio.Semaphore
    sign: Sign | None


class Outlets:
    """Finds the outlet of an email by its From address. Raises Misconfigured when a DKIM key can't be used."""

    def __init__(
        self,
        senders: Senders,
        *,
        connections: int,
        clock: Callable[[], datetime],
        outage: Callable[[str], Outage],
    ) -> None:
        sending = [a for a in (senders.fallback, *senders.accounts) if a is not None and a.smtp is not None]
        if senders.fallback is not None:
            sending = [senders.fallback]
        self.limits = Limits(sending)
        self.alone = len(sending) == 1  # nobody else waits while its server is away
        self._senders = senders
        self._outlets: dict[str, Outlet] = {}
        for account in sending:
            if account.smtp is None:
                continue
            pool = SmtpPool(
                account.smtp, clock=clock, connections=connections, credential=_credential(senders, account)
            )
            what = f"smtp {account.address}".rstrip()
            slots = asyncio.Semaphore(2 * connections)
            self._outlets[account.address] = Outlet(account, pool, outage(what), slots, signer(account))

    def of(self, address: str) -> Outlet | None:
        """The outlet of mail from this address; None when no account may send as it."""
        account = self._senders.sending(address)
        return None if account is None else self._outlets[account.address]

    @property
    def all(self) -> list[Outlet]:
        return list(self._outlets.values())

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(outlet.pool.close() for outlet in self._outlets.values()))


def _credential(senders: Senders, account: Account) -> Callable[[], Credential | None]:
    smtp = account.smtp
    return lambda: None if smtp is None else senders.credential(smtp)
