"""What an event says of where its hit came from, beside the verdict."""

from __future__ import annotations

from msgspec.structs import replace

from decisions.clients.mail_clients import MailClients
from schemas.events import Clicked, Opened


def named(event: Opened | Clicked, clients: MailClients, country: str, ip: str) -> Opened | Clicked:
    """The event with its client, its device and its country, and with what is kept of its address."""
    client = clients.find(event.user_agent)
    name = client.name("open" if isinstance(event, Opened) else "click")
    return replace(event, client=name, device=client.device, country=country, ip=ip)
