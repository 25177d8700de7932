"""The sender's mailbox: a real IMAP server on loopback, into which the world's answers are put as any server would."""

from __future__ import annotations

import asyncio

from imapclient import IMAPClient

from schemas.senders import Senders
from tests.support.imap import ImapServer
from tests.world.recipients import Folder


class Mailbox:
    """Serves the one mailbox of `senders.toml` where that file says it is. Mails come in one after the other."""

    def __init__(self, senders: Senders) -> None:
        (account,) = senders.mailboxes
        assert account.imap is not None
        credential = senders.credential(account.imap)
        assert credential is not None
        self.address = account.address
        self._server = ImapServer("pymap", [account.imap.user], port=account.imap.port, password=credential.secret)
        self._client: IMAPClient | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        self._client = await asyncio.to_thread(self._server.connected, self._server.mailboxes[0])

    async def stop(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.shutdown)
        await asyncio.to_thread(self._server.close)

    async def put(self, mail: bytes, folder: Folder = "INBOX") -> None:
        """APPEND, new and unread."""
        assert self._client is not None
        async with self._one_at_a_time:
            await asyncio.to_thread(self._client.append, folder, mail)
