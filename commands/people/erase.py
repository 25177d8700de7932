"""`sendlens lead erase`: erases a person's data everywhere, and makes sure that they are never mailed again.

In this order, so that a run which is killed is simply run again: the facts for which nobody mails them; then what the
compacted topics hold; then ClickHouse, where the emails that name the person come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.erasing import PSEUDONYM, ErasedEmail, Erasure, TableErasure
from clickhouse.store import insert_lines
from schemas.addresses import mailbox
from schemas.errors import Misconfigured, Reject
from schemas.events import Fact, Lead, lead_key, lines, to_ms
from schemas.settings import Settings
from schemas.topics import (
    ATTEMPTS,
    CALLS,
    DEAD,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    MAIL,
    RETRIES,
    SENDS,
    Topic,
)
from stream.records import OutRecord
from stream.write_all import write_all

# What may be known of a lead or an address whatever the campaign; the others have a campaign in their key.
_FACTS = tuple(fact for fact in get_args(Fact) if fact not in ("replied", "left"))
# What keeps records that may name the person until their time is over. Nothing can take one out of the middle.
_PASSING = (HITS, EVENTS, SENDS, ATTEMPTS, MAIL, DEAD)


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was, or would be, erased."""

    leads: int
    emails: int
    rows: list[TableErasure]
    buried: int
    dry_run: bool

    def report(self, now: datetime) -> Iterator[str]:
        """A table of it, and what goes by itself, and when."""
        would = "would be " if self.dry_run else ""
        yield f"leads: {self.leads}, emails: {self.emails}"
        for row in self.rows:
            yield f"{row.table:<12}{row.rows:>8}  {would}{row.done}"
        kept = f"{LEADS.name}, {RETRIES.name}, {CALLS.name} and {LINKS.name}"
        yield f"{'topics':<12}{self.buried:>8}  keys of {kept} {would}taken back"
        yield "by itself goes what Kafka keeps (with the broker in memory at its next start, if that is sooner):"
        for topic in _PASSING:
            until = now + timedelta(milliseconds=topic.retention_ms)
            yield f"  topic {topic.name:<9} by {until:%Y-%m-%d}"
        yield "  what was taken back of a compacted topic: when Kafka next compacts it"
        yield "backups of yours, logs of mail servers and what Sendlens told webhooks are not reached from here"


def erase_person(
    settings: Settings, client: Client, address: str, leads: Iterable[str], now: datetime, *, dry_run: bool = False
) -> ErasureReport:
    """Erase who has this address, and these leads. Raises Misconfigured for what is no address, Retry when Kafka or
    ClickHouse is away."""
    try:
        address = mailbox(address).address
    except Reject as error:
        raise Misconfigured(f"{error.detail or error.reason}: want local@domain.example") from None
    erasing = Erasure(client)
    hashes = settings.keyring.address_ids(address)
    found = erasing.leads(hashes, address) | set(leads)
    return _erase(settings, client, sorted(found), now, dry_run, hashes, erasing.links(address))


def erase_again(settings: Settings, client: Client, now: datetime, *, dry_run: bool = False) -> ErasureReport:
    """Erase data that arrived for leads after they were erased: an old email was opened, a record was late."""
    erasing = Erasure(client)
    erased, ids = erasing.erased(), settings.keyring.lead_ids
    back = [lead for lead in erasing.every_lead() if not erased.isdisjoint(ids(lead))] if erased else []
    return _erase(settings, client, sorted(back), now, dry_run, (), ())


def _erase(
    settings: Settings,
    client: Client,
    leads: Sequence[str],
    now: datetime,
    dry_run: bool,
    addresses: Sequence[str],
    links: Sequence[str],
) -> ErasureReport:
    erasing, keyring = Erasure(client), settings.keyring
    at = to_ms(now)
    emails = erasing.emails(leads) if leads else []
    facts = [Lead(lead=hashed, fact="erased", at=at, of="address") for hashed in addresses[:1]]
    facts += [Lead(lead=keyring.lead_ids(lead)[0], fact="erased", at=at, of="hashed-lead") for lead in leads]
    left = erasing.lists_left([*leads, *addresses])
    buried = [
        *_buried(leads, emails, addresses, links),
        *((LEADS, one) for one in left),
        *((CALLS, key) for key in erasing.calls(emails)),
    ]
    if not dry_run and facts:
        write_all(settings, [OutRecord.keyed(settings, LEADS, fact.key, msgspec.json.encode(fact)) for fact in facts])
        insert_lines(client, "lead_facts", lines(facts))
        write_all(settings, [OutRecord.keyed(settings, topic, key, None) for topic, key in buried])
    pseudonyms = {lead: f"{PSEUDONYM}{keyring.lead_ids(lead)[0]}" for lead in leads}
    rows = erasing.erase(pseudonyms, emails, addresses=addresses, links=links, dry_run=dry_run)
    return ErasureReport(len(leads), len({email.delivery_id for email in emails}), rows, len(buried), dry_run)


def _buried(
    leads: Sequence[str], emails: Sequence[ErasedEmail], addresses: Sequence[str], links: Sequence[str]
) -> Iterator[tuple[Topic, str]]:
    """The keys of compacted topics under which something of the person may stand. To bury what is not there is fine."""
    for lead in leads:
        for fact in _FACTS:
            yield LEADS, lead_key(lead, fact)
    for lead, campaign in sorted({(email.lead, email.campaign) for email in emails}):
        yield LEADS, lead_key(lead, "replied", campaign=campaign)
    for hashed in addresses:
        for fact in _FACTS:
            if fact != "erased":  # which stands, and keeps them from being mailed
                yield LEADS, lead_key(hashed, fact, of="address")
    for delivery in sorted({email.delivery_id for email in emails}):
        yield RETRIES, delivery
    for link in links:
        yield LINKS, link
