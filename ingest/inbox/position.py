"""How far a folder is read, and which of its mails are still wanted. Pure: no I/O, no clock.

A uid stands for a mail only together with the folder's uidvalidity (RFC 9051, 2.3.1.1). When a server has numbered its
mails again, the day before the newest mail seen and all that is newer is read again; Message-ID and digest tell that it
is the same mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid5

from msgspec.structs import replace

from schemas.raw_mail import Mail
from schemas.state.positions import Position
from schemas.tokens import NAMESPACE
from schemas.topics import MAX_MAIL_BYTES

T = TypeVar("T")
# The dates of a folder are not quite in the order of its uids: a mail that is moved keeps its own.
_MARGIN = timedelta(days=1)
# What is fetched and handed to Kafka at once; some of these are held in memory for a mailbox.
BATCH_BYTES = 2 * 1024 * 1024
# Sizes are asked for of larger mails alone: to ask it of all others costs half as much as to fetch them.
SMALL_BYTES = 16 * 1024
# Of those so much shares a record: what Kafka takes wherever the topic was made (1 MB a record by default; base64 adds
# a third to a mail, and JSON half a kilobyte), and what the reader reads in about a third of a second.
RECORD_BYTES = 640 * 1024
RECORD_MAILS = 100


@dataclass(frozen=True, slots=True)
class FolderState:
    """What a server says of a folder when it is opened. `last` is the highest uid in it; `uidnext` is what the next
    mail will have, 0 when the server does not say."""

    mailbox: str
    name: str
    uidvalidity: int
    uidnext: int
    last: int


@dataclass(frozen=True, slots=True)
class FolderSearch:
    """Mails of a folder by their uids: those above one, up to another if there is one, received since a moment."""

    above: int
    until: int | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A mail of a folder that was not fetched yet. `size` in bytes, as the server gives it; 0: at most SMALL_BYTES."""

    uid: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class FetchedMail:
    """A mail that was fetched. `raw` is its first MAX_MAIL_BYTES at least, `size` what it has in all."""

    uid: int
    received_at: datetime
    size: int
    raw: bytes


def here(known: Position | None, folder: FolderState, first: datetime, now: datetime) -> Position:
    """Where to read on in this folder. `first` is since when mails are wanted of a folder never seen before."""
    if known is None:
        return Position(
            mailbox=folder.mailbox,
            folder=folder.name,
            uidvalidity=folder.uidvalidity,
            uid=0,
            old_until=folder.last,
            old_since=first,
            newest=first,
            at=now,
        )
    if is_renumbered(known, folder):
        since = min(known.newest - _MARGIN, known.old_since if known.uid < known.old_until else known.newest)
        return replace(known, uidvalidity=folder.uidvalidity, uid=0, old_until=folder.last, old_since=since, at=now)
    return known


def is_renumbered(known: Position, folder: FolderState) -> bool:
    """Whether uids no longer mean what they did: another uidvalidity, or uids that were given are free again, as
    after a restored backup."""
    return known.uidvalidity != folder.uidvalidity or 0 < folder.uidnext <= known.uid


def again(known: Position, since: datetime, now: datetime) -> Position:
    """The position from which all mails since `since`, and all that are not read yet, are read once more."""
    if known.uid < known.old_until:
        since = min(since, known.old_since)
    return replace(known, uid=0, old_until=max(known.uid, known.old_until), old_since=since, at=now)


def searches(position: Position) -> Iterator[FolderSearch]:
    """The searches that find what is wanted. They may find more than that: see `wanted`."""
    if position.uid < position.old_until:
        yield FolderSearch(above=position.uid, until=position.old_until, since=position.old_since)
    yield FolderSearch(above=max(position.uid, position.old_until))


def wanted(position: Position, mail: FetchedMail) -> bool:
    """Whether this mail is to be handed over."""
    if mail.uid <= position.uid:
        return False
    return mail.uid > position.old_until or mail.received_at >= position.old_since


def batches(mails: Sequence[FoundMail]) -> Iterator[list[FoundMail]]:
    """Mails in the order of their uids, so many at a time that memory is bounded."""
    by_uid = sorted(mails, key=lambda mail: mail.uid)
    return _grouped(by_uid, lambda mail: min(mail.size or SMALL_BYTES, MAX_MAIL_BYTES), BATCH_BYTES, len(mails))


def shared(mails: Sequence[Mail]) -> Iterator[list[Mail]]:
    """The mails of each record, in order. A large mail is alone in its record."""
    return _grouped(mails, lambda mail: len(mail.raw), RECORD_BYTES, RECORD_MAILS)


def _grouped(mails: Sequence[T], size_of: Callable[[T], int], most_bytes: int, most: int) -> Iterator[list[T]]:
    """In their order, as many together as may be; one that is too large by itself is alone."""
    some: list[T] = []
    held = 0
    for mail in mails:
        size = size_of(mail)
        if some and (held + size > most_bytes or len(some) == most):
            yield some
            some, held = [], 0
        some.append(mail)
        held += size
    if some:
        yield some


def passed(position: Position, uid: int, mails: Sequence[FetchedMail], now: datetime) -> Position:
    """The position when all up to `uid` is done, these mails the last of it."""
    newest = max([position.newest, *(mail.received_at for mail in mails)])
    return replace(position, uid=max(position.uid, uid), newest=newest, at=now)


def mail_of(folder: FolderState, mail: FetchedMail) -> Mail:
    """The record of a mail."""
    kept = mail.raw[:MAX_MAIL_BYTES]
    place = (folder.mailbox, folder.name, str(folder.uidvalidity), str(mail.uid))
    return Mail(
        id=str(uuid5(NAMESPACE, "\x1f".join(("mail", *place)))),
        mailbox=folder.mailbox,
        folder=folder.name,
        uidvalidity=folder.uidvalidity,
        uid=mail.uid,
        received_at=mail.received_at,
        size=max(mail.size, len(mail.raw)),
        digest=hashlib.sha256(kept).hexdigest(),
        truncated=len(mail.raw) > len(kept) or (mail.size > MAX_MAIL_BYTES and len(mail.raw) == MAX_MAIL_BYTES),
        raw=kept,
    )


def next_pause(failures: int, share: float, *, refused: bool = False) -> float:
    """Seconds to wait after so many failures in a row. `share` is a random number of 0..1, so that the mailboxes of a
    server that comes back do not come all at once. A refused login is repeated rarely: servers lock accounts."""
    first, longest = (30.0, 900.0) if refused else (1.0, 60.0)
    return min(longest, first * 2.0 ** min(failures - 1, 10)) * (0.5 + share / 2)
