"""Another way out than SMTP: the sender asks a transport for what it asks of SMTP, and nothing else."""

from __future__ import annotations

import mailbox
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from agents.transport.transport import Transport
from decisions.sending.answers import SmtpAccepted, SmtpRefused
from schemas.errors import Retry
from schemas.events import Bounced, Delivered, Sent
from schemas.senders import Account
from tests.agents.sender.sender_house import House, house, to

__all__ = ["house"]  # the fixture


class MaildirTransport:
    """Delivers into a maildir on this machine. `trouble` is what the next deliveries meet, in order."""

    def __init__(self, folder: Path) -> None:
        self.box = mailbox.Maildir(folder, create=True)
        self.trouble: list[SmtpRefused | Retry] = []
        self.closed = False

    async def deliver(
        self,
        envelope_from: str,
        envelope_to: str,
        message: bytes,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> SmtpAccepted | SmtpRefused:
        began = datetime.now(UTC)
        if prepare is not None:
            await prepare()
        if self.trouble:
            trouble = self.trouble.pop(0)
            if isinstance(trouble, Retry):
                raise trouble
            return trouble
        self.box.add(message)
        return SmtpAccepted(began, datetime.now(UTC), "in the maildir")

    async def close(self) -> None:
        self.closed = True


async def test_an_email_leaves_by_a_transport_that_is_not_smtp(house: House, tmp_path: Path) -> None:
    maildir = MaildirTransport(tmp_path / "mail")

    def transport(account: Account) -> Transport:
        return maildir

    now = datetime.now(UTC)
    maildir.trouble = [
        Retry("the disk is away"),  # nothing left: tried again at once
        SmtpRefused(now, now, True, 550, "5.1.1", "no such mailbox", "rcpt"),
    ]
    sender = house.sender(transport=transport)
    (bounced,) = await sender.send([to("nobody")])
    (delivered,) = await sender.send([to("ada")])
    assert [type(event) for event in bounced.events] == [Sent, Bounced]
    assert [type(event) for event in delivered.events] == [Sent, Delivered]
    assert [mail["To"] for mail in maildir.box] == ["ada@example.net"]
    assert house.server.connections == 0
    await sender.close()
    assert maildir.closed
