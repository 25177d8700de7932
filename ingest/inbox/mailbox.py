"""What the inbox asks of a mailbox: IMAP today (imap.py); POP3, Gmail or Graph could stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ingest.inbox.position import FetchedMail, FolderSearch, FolderState, FoundMail
from schemas.errors import Retry


class LoginRefused(Retry):
    """The server is there and does not let us in."""


class MailRefused(Retry):
    """The connection is good, but the server does not give these mails."""


class FolderRefused(Retry):
    """The folder can't be opened: mostly there is none of that name."""


class Mailbox(Protocol):
    """A connection to one mailbox that changes nothing in it.

    A mail is known by a number that rises with each mail and means the same mail as long as its folder's `uidvalidity`
    is the same. Every call raises Retry when the connection is no good any more.
    """

    @property
    def tells(self) -> bool:
        """Whether `wait` returns at once when there is new mail; else the mailbox is polled."""
        ...

    def names_of(self, folders: Sequence[str]) -> list[str]:
        """What these folders are called here, each once."""
        ...

    def examine(self, name: str) -> FolderState:
        """Open a folder. Raises FolderRefused when it can't be opened."""
        ...

    def find(self, search: FolderSearch) -> list[FoundMail]:
        """The mails of the open folder that a search finds, by rising numbers. It may find more than it asks for in
        time, never in number."""
        ...

    def fetch(self, mails: Sequence[FoundMail]) -> list[FetchedMail]:
        """The mails in their order, of a large one its first MAX_MAIL_BYTES; without those that are gone meanwhile.

        Raises MailRefused when the server says no to one of them.
        """
        ...

    def wait(self, seconds: float, waker: int) -> None:
        """Return when there may be something new in the open folder, `waker` (a file) is readable, or time is up."""
        ...

    def break_off(self) -> None:
        """End whatever another thread waits for on this connection."""
        ...

    def close(self) -> None:
        """End the connection; what fails at that does not matter."""
        ...


# Raises LoginRefused, Misconfigured when there is nothing to log in with, or Retry.
Connect = Callable[[], Mailbox]
