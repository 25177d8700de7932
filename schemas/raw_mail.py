"""A mail as it lies in a mailbox, on its way from the inbox to the reader."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Id, Time


class Mail(Struct, frozen=True, kw_only=True):
    """One mail as it lies in a sender's mailbox. Topic `mail`.

    `id` is derived from mailbox, folder, uidvalidity and uid, so reading it again gives the same. A mail that was
    moved, or that a server has renumbered, has another id but the same Message-ID and `digest` (SHA-256 of its first
    MAX_MAIL_BYTES): what is made of a mail goes by those. `raw` is base64, at most MAX_MAIL_BYTES; `truncated` when
    there was more.
    """

    id: Id
    mailbox: str
    folder: str
    uidvalidity: int
    uid: int
    received_at: Time
    size: int
    digest: str
    truncated: bool = False
    raw: bytes
