"""The decisions that ingest is handed by the composition root, bound to this installation's settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from agents.decisions.mime import mailbox
from agents.decisions.own import events_of, instrumented
from schemas.events import Campaign, Pause, Send
from schemas.ownsystem import Fact, OwnSystem, Ready, Withheld
from schemas.senders import Senders
from schemas.settings import Settings


def own_system(settings: Settings, senders: Senders) -> OwnSystem:
    """What comes back goes to the sender's own return path where `senders.toml` knows one: that mailbox is read."""
    domains = {account.address: account.envelope_domain for account in senders.accounts}
    keyring = settings.keyring

    def instrument(
        send: Send, campaign: Campaign, pause: Pause | None, fact: Callable[[str], Fact | None], now: datetime
    ) -> Ready | Withheld:
        sender = mailbox(send.sender).address.lower()
        return instrumented(
            send,
            campaign,
            pause,
            fact,
            now,
            keyring=keyring,
            public_url=settings.public_url,
            envelope_domain=domains.get(sender, settings.envelope_domain),
            honeypot=settings.honeypot,
        )

    return OwnSystem(instrument, lambda told: events_of(told, keyring))
