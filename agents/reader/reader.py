"""The reader at work: raw mails in, and what they make known of emails that were sent out, as events.

Proof is a token of ours that verifies. A reply without one may still be matched by who wrote it, which the event says;
a report without one changes nothing, because anybody can write it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from agents.runtime.metrics import READER_IGNORED, READER_MAILS
from clickhouse.ask import StageQueries
from decisions.effects.returns import (
    MAX_ADDRESS_DAYS,
    SentEmail,
    event_of,
    ignored_for,
    is_probe,
    may_be_inferred,
    unsubscribe_of,
)
from decisions.mail.read import read_mail
from decisions.mail.verdict import MailVerdict
from schemas.errors import UNREADABLE, Retry
from schemas.events import EmailEvent, lines
from schemas.raw_mail import Mail
from schemas.senders import load as load_senders
from schemas.settings import Settings
from schemas.tokens import Claim
from schemas.topics import EVENTS
from stream.records import Handler, HandleResult, OutRecord, PoisonRecord, Record

log = structlog.get_logger()

# How long an email may be in no table before a mail about it is set aside. The store lags by a second or two.
_EMAIL_PATIENCE = 20.0
# A token is minted right before its email leaves; clocks differ.
_CLOCKS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _ReadMail:
    """A mail, read. What is made of it goes by its verdict; its line, as a record, is for the dead letter."""

    record: Record
    mail: Mail
    verdict: MailVerdict


class MailReader(Handler):
    """Reads mails one after the other, each in a thread: a hostile one may take a second."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keyring = settings.keyring
        self._decode = msgspec.json.Decoder(Mail).decode
        self._queries = StageQueries(settings)
        accounts = load_senders(settings).mailboxes
        self._servers = {account.address: account.imap.authserv_id for account in accounts if account.imap}
        self._verdicts: dict[str, MailVerdict] = {}  # of a call that is tried again
        self._missing_since: dict[str, float] = {}

    async def stop(self) -> None:
        self._queries.close()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """An event for each mail that belongs to an email and makes something known of it."""
        handled = HandleResult()
        found = [read for record in records for read in await self._read(record, handled)]
        mails = [read for read in found if not is_probe(read.verdict, self._keyring)]
        emails = await self._emails_of(mails)
        events: list[EmailEvent] = []
        counted: list[tuple[str, str]] = []
        ignored = ["probe"] * (len(found) - len(mails))
        for read in mails:
            wish = unsubscribe_of(read.verdict, self._keyring, at=read.mail.received_at, digest=read.mail.digest)
            if wish is not None:
                events.append(wish)
                counted.append(("unsubscribe", "subject"))
                continue
            email, by = await self._match(read, emails)
            if email is not None:
                event = self._event(read, email, by)
                if event is not None:
                    events.append(event)
                else:
                    ignored.append(ignored_for(read.verdict))
            elif not by:
                ignored.append(ignored_for(read.verdict))
            else:
                handled.dead.append(
                    PoisonRecord(read.record, "unknown-email", "its token is ours, but no such email was sent")
                )
            counted.append((read.verdict.kind, by or "nothing"))
        handled.out += [OutRecord.keyed(self._settings, EVENTS, event.delivery_id, lines([event])) for event in events]
        for labels in counted:
            READER_MAILS.labels(*labels).inc()
        for reason in ignored:
            READER_IGNORED.labels(reason).inc()
        self._verdicts.clear()
        return handled

    def _event(self, read: _ReadMail, email: SentEmail, by: str) -> EmailEvent | None:
        mail, address_ids = read.mail, self._keyring.address_ids
        return event_of(read.verdict, email, by, at=mail.received_at, digest=mail.digest, address_ids=address_ids)

    async def _read(self, record: Record, handled: HandleResult) -> list[_ReadMail]:
        """The mails of a record. A line that can't be read is set aside, and the others are not."""
        read = []
        for line in filter(None, record.value.split(b"\n")):
            alone = replace(record, value=line)
            try:
                mail = self._decode(line)
            except UNREADABLE as error:
                handled.dead.append(PoisonRecord(alone, "unreadable", str(error)))
                continue
            verdict = self._verdicts.get(mail.id)
            if verdict is None:
                verdict = await asyncio.to_thread(
                    read_mail, mail.raw, self._keyring, self._servers.get(mail.mailbox, "")
                )
                self._verdicts[mail.id] = verdict
            read.append(_ReadMail(alone, mail, verdict))
        return read

    async def _emails_of(self, mails: Sequence[_ReadMail]) -> dict[str, SentEmail]:
        """The emails that the mails' tokens name. Raises Retry while one may still come to be known."""
        matches = [read.verdict.match for read in mails if _matters(read.verdict) and read.verdict.match]
        if not matches:
            return {}
        first = min(match.claim.minted_at for match in matches)
        rows = await self._queries.ask(
            "sent_emails",
            deliveries=sorted({match.delivery_id for match in matches}),
            since=datetime.fromtimestamp(first, UTC) - _CLOCKS,
        )
        found = {str(row[0]): SentEmail(str(row[0]), *row[1:]) for row in rows}
        for delivery in found:
            self._missing_since.pop(delivery, None)
        self._wait_for({match.delivery_id for match in matches} - set(found))
        for match in matches:
            c = match.claim
            if match.delivery_id not in found and isinstance(c, Claim):
                found[match.delivery_id] = SentEmail(match.delivery_id, c.campaign, c.step, c.variant, c.lead, "")
        return found

    def _wait_for(self, missing: set[str]) -> None:
        """Raises Retry until these emails have been missing for so long that they will not come."""
        now = self._clock()
        since = [self._missing_since.setdefault(delivery, now) for delivery in missing]
        if since and now - max(since) < _EMAIL_PATIENCE:
            raise Retry(f"ClickHouse does not have {len(missing)} emails yet that mails came back of")
        for delivery in missing:
            del self._missing_since[delivery]

    async def _match(self, read: _ReadMail, emails: dict[str, SentEmail]) -> tuple[SentEmail | None, str]:
        """The email that a mail belongs to, and how that is known; no email but a way is one that is not known."""
        verdict = read.verdict
        if not _matters(verdict):
            return None, ""
        if verdict.match is not None:
            email = emails.get(verdict.match.delivery_id)
            if email is not None and not email.sender:
                email = replace(email, sender=read.mail.mailbox)
            return email, verdict.match.by
        if not may_be_inferred(verdict):
            return None, ""
        rows = await self._queries.ask(
            "last_email_to",
            addresses=list(self._keyring.address_ids(verdict.sender)),
            mailbox=read.mail.mailbox.lower(),
            since=read.mail.received_at - timedelta(days=MAX_ADDRESS_DAYS),
            until=read.mail.received_at,
        )
        for row in rows:
            return SentEmail(str(row[0]), *row[1:]), "address"
        return None, ""


def _matters(verdict: MailVerdict) -> bool:
    """Whether a mail of this kind makes anything known: that one waits, arrived, or is a newsletter does not."""
    return verdict.kind in ("reply", "auto_reply", "bounce", "complaint")
