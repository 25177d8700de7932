"""How far each mailbox is read: a record of the topic `positions`."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Time


class Position(Struct, frozen=True, kw_only=True):
    """How far a folder of a mailbox is read: every mail up to `uid` is on the topic `mail`. Topic `positions`.

    Of mails up to `old_until` only those that arrived since `old_since` are wanted: the others lay there before, or are
    known. `newest` is when the newest mail so far arrived; `at` is when this was written.
    """

    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    old_until: int = 0
    old_since: Time
    newest: Time
    at: Time

    @property
    def key(self) -> str:
        """The record's key on the topic."""
        return position_key(self.mailbox, self.folder)


def position_key(mailbox: str, folder: str) -> str:
    """Under which a folder's position is found."""
    return f"{mailbox}\x1f{folder}"
