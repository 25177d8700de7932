"""Takes people out of the tables, and leaves every number as it was.

A row that is counted stays, without the person: its lead becomes a pseudonym, and what else may tell who it was is
blanked. A row that nothing counts is deleted. Mutations, because they rewrite the parts on disk; they name emails by
their ids and people not at all, for ClickHouse keeps their text (system.mutations) and that of queries (switched off).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.counting import mark_hours
from clickhouse.queries import get
from schemas.errors import Retry
from schemas.events import lead_key

PSEUDONYM = "erased:"  # what a lead is called that was erased begins so
_CHUNK = 1_000  # emails of one mutation: some 40 kB of its text
_COUNTED = 200  # hours and days of counts of one mutation
_SETTINGS = {"mutations_sync": 2, "log_queries": 0}  # answered means done, here and on replicas

_BLANKED = (
    "address = '', recipient = '', from_address = '', message_id = '', diagnostic = '', subject = '', text = '', "
    "stop_phrase = '', detail = '', user_agent = '', ip = ''"
)

# Where the lead stands in the sorting key: a row is written under the pseudonym, then the old one is deleted.
_MOVED = {
    "lead_emails": """
INSERT INTO lead_emails
    (lead, campaign, step, variant, delivery_id, links, sent_at, first_open_at, first_click_at, replied_at)
SELECT
    {pseudonym:String}, campaign, step, variant, delivery_id, links, sent_at, first_open_at, first_click_at, replied_at
FROM lead_emails FINAL
WHERE lead = {lead:String}
""",
    "last_events": """
INSERT INTO last_events (lead, last)
SELECT {pseudonym:String}, last FROM last_events FINAL WHERE lead = {lead:String}
""",
}

# As the view would have it of a blanked event: a part of an address goes, a name that the rules have for it stays.
_BLANKED_HITS = (
    "user_agent = '', network = if(match(network, '/(24|48)$') OR network = 'Address not kept whole', 'Not recorded', "
    "network)"
)
# Where the hours are found that a person's emails or hits were counted in, and the counts that tell more than a number:
# a domain, a user agent, a part of an IP address, a server's words.
_COUNTED_IN = {
    "email": (
        "emails",
        "delivery_id IN {emails:Array(UUID)}",
        {"email_counts": "by = 'domain' AND ", "domain_sizes": "", "bounce_counts": ""},
    ),
    "hit": (
        "judged_hits",
        "delivery_id IN {emails:Array(UUID)} AND verdict != 'human'",
        {"hit_counts": "by IN ('network', 'agent', 'user agent') AND "},
    ),
}
_BLANKED_RARE = "diagnostic = '', subject = '', text = '', stop_phrase = '', detail = ''"


@dataclass(frozen=True, slots=True)
class ErasedEmail:
    """One email of a person who is erased."""

    lead: str
    campaign: str
    delivery_id: str


@dataclass(frozen=True, slots=True)
class TableErasure:
    """What was, or would be, done to a table: how many of its rows, and what."""

    table: str
    rows: int
    done: str


class Erasure:
    """One erasure. Raises Retry when ClickHouse can't answer; what was done stays done, and may be done again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def leads(self, addresses: Sequence[str], address: str) -> set[str]:
        """The leads that were mailed, or wait to be, at an address, known by its keyed hashes and as it is written."""
        return {str(row[0]) for row in self._ask("erasing_leads", addresses=list(addresses), address=address.lower())}

    def every_lead(self) -> Iterator[str]:
        """All there are, but those that were erased."""
        return (str(row[0]) for row in self._ask("erasing_every_lead"))

    def erased(self) -> set[str]:
        """The keyed hashes of the leads that were erased."""
        return {str(row[0]) for row in self._ask("erasing_erased")}

    def emails(self, leads: Sequence[str]) -> list[ErasedEmail]:
        return [ErasedEmail(*map(str, row)) for row in self._ask("erasing_emails", leads=list(leads))]

    def links(self, address: str) -> list[str]:
        """Links whose destination names the address, however it is escaped."""
        rows = self._ask("erasing_links", address=address)
        return [str(link) for link, url in rows if address.lower() in unquote(str(url)).lower()]

    def lists_left(self, whose: Sequence[str]) -> list[str]:
        """The keys of the facts that these leads and addresses left a list."""
        rows = self._ask("erasing_left", whose=list(whose)) if whose else []
        return [lead_key(str(lead), "left", of=str(of), campaign=str(name)) for lead, of, name in rows]

    def calls(self, emails: Sequence[ErasedEmail]) -> list[str]:
        """The keys of the webhook calls that wait for these emails."""
        ids = [email.delivery_id for email in emails]
        return [f"{endpoint}/{event}" for endpoint, event in self._ask("erasing_calls", emails=ids)] if ids else []

    def erase(
        self,
        pseudonyms: Mapping[str, str],
        emails: Sequence[ErasedEmail],
        *,
        addresses: Sequence[str] = (),
        links: Sequence[str] = (),
        dry_run: bool = False,
    ) -> list[TableErasure]:
        """Erase these leads and what is known of these addresses; returns what was done to each table.

        `events` comes last, for it is there that a run which was killed finds again whom it is about.
        """
        facts = [f"(of = 'lead' AND {_among('lead', list(pseudonyms))})"] if pseudonyms else []
        if addresses:
            facts.append(f"(of = 'address' AND fact != 'erased' AND lead IN ({_quoted(addresses)}))")
        by_id = list(_chunks([email.delivery_id for email in emails]))
        these = [f"delivery_id IN ({_quoted(chunk)})" for chunk in by_id]
        domains = self._own_domains(by_id)
        done = []
        for table, deletes, what in (
            ("hits", these, "deleted: requests of the person's own clients"),
            ("retries", these, "deleted: emails that waited, whole"),
            (
                "calls",
                [f"event IN (SELECT id FROM events WHERE {one})" for one in these],  # noqa: S608  # our UUIDs
                "deleted: what waits to be told to webhooks",
            ),
            ("lead_facts", [" OR ".join(facts)] if facts else [], "deleted: why no mail; the erasure stands instead"),
            (
                "links",
                [f"link_id IN ({_quoted(links)})"] if links else [],
                "deleted: the destination names the address",
            ),
        ):
            done.append(TableErasure(table, self._mutate(table, "DELETE", deletes, dry_run), what))
        updates = [(f"message_id = '' WHERE {one}", one) for one in these]
        done.append(TableErasure("attempts", self._update("attempts", updates, dry_run), "blanked: Message-ID"))
        done += [
            TableErasure(table, self._move(table, pseudonyms, dry_run), "kept under a pseudonym") for table in _MOVED
        ]
        done.append(
            TableErasure("judged_hits", self._blank_hits(by_id, dry_run), "blanked: user agents, parts of IP addresses")
        )
        # `emails` comes after `outcomes`, from which it is filled.
        for table, more, what in (
            ("outcomes", "", "kept under a pseudonym"),
            ("emails", "", "kept under a pseudonym"),
            ("rare_events", f", {_BLANKED_RARE}", "kept under a pseudonym; texts blanked"),
            ("events", f", {_BLANKED}", "kept under a pseudonym; texts, agents, addresses, hashes blanked"),
        ):
            if table == "events" and not dry_run:
                for of in _COUNTED_IN:
                    self._take_counts_away(of, by_id)
            in_table = () if table == "rare_events" else domains  # which has no domain
            updates = list(_renamed(pseudonyms, emails, more, in_table))
            done.append(TableErasure(table, self._update(table, updates, dry_run), what))
        return done

    def _blank_hits(self, by_id: Sequence[Sequence[str]], dry_run: bool) -> int:
        """Blank the hits of robots and machines on these emails."""
        rows = 0
        for chunk in by_id:
            condition = f"delivery_id IN ({_quoted(chunk)}) AND verdict != 'human'"
            rows += self._update("judged_hits", [(f"{_BLANKED_HITS} WHERE {condition}", condition)], dry_run)
        return rows

    def _take_counts_away(self, of: str, by_id: Sequence[Sequence[str]]) -> None:
        """Take away the counts that were made of these emails, or of hits on them, before they were blanked.

        Their hours are marked as changed first, so that the old counts are stale and no query uses them. Killed in
        between, the next run finds the same hours again, because everything it goes by is still there."""
        table, condition, counts = _COUNTED_IN[of]
        for chunk in by_id:
            found = f"FROM {table} WHERE {condition} GROUP BY slot"
            slots = [row[0] for row in self._select(f"SELECT slot {found}", emails=list(chunk))]
            if not slots:
                continue
            self._mark(of, slots)
            written = self._ask("erasing_written", of=of, slots=[slot.strftime("%Y-%m-%d %H:%M:%S") for slot in slots])
            stale = [
                f"(grain = '{grain}' AND slot = '{slot:%Y-%m-%d %H:%M:%S}' AND version < {version})"
                for grain, slot, version in written
            ]
            for at in range(0, len(stale), _COUNTED):
                these = " OR ".join(stale[at : at + _COUNTED])
                for made, among in counts.items():
                    self._run(f"ALTER TABLE {made} DELETE WHERE {among}({these})", {}, _SETTINGS)

    def _own_domains(self, by_id: Sequence[Sequence[str]]) -> list[str]:
        ids = [one for chunk in by_id for one in chunk]
        return [str(row[0]) for row in self._ask("erasing_own_domains", emails=ids)] if ids else []

    def _mutate(self, table: str, verb: str, conditions: Sequence[str], dry_run: bool) -> int:
        return self._update(table, [(f"WHERE {one}", one) for one in conditions], dry_run, verb)

    def _move(self, table: str, pseudonyms: Mapping[str, str], dry_run: bool) -> int:
        """Give the rows of each lead to its pseudonym. Killed in between, both have them, and the next run goes on."""
        if not dry_run:
            for lead, pseudonym in pseudonyms.items():
                self._run(_MOVED[table], {"lead": lead, "pseudonym": pseudonym}, {"log_queries": 0})
        return self._mutate(table, "DELETE", [_among("lead", list(pseudonyms))] if pseudonyms else [], dry_run)

    def _update(self, table: str, changes: Sequence[tuple[str, str]], dry_run: bool, verb: str = "UPDATE") -> int:
        """Carry out each change, after counting the rows of its condition, in which no person is named."""
        rows = 0
        for change, condition in changes:
            found = int(self._select(f"SELECT count() FROM {table} FINAL WHERE {condition}")[0][0])  # noqa: S608  # ours
            rows += found
            if found and not dry_run:
                self._run(f"ALTER TABLE {table} {verb} {change}", {}, _SETTINGS)
        return rows

    def _run(self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, int]) -> None:
        try:
            self._client.command(sql, parameters=dict(parameters), settings=dict(settings))
        except ClickHouseError as error:
            raise Retry(f"ClickHouse: {str(error)[:200]}") from None

    def _mark(self, of: str, slots: Sequence[datetime]) -> None:
        try:
            mark_hours(self._client, of, slots)
        except ClickHouseError as error:
            raise Retry(f"ClickHouse: {str(error)[:200]}") from None

    def _ask(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return self._select(get(name).sql, **parameters)

    def _select(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        try:
            return self._client.query(sql, parameters=parameters, settings={"log_queries": 0}).result_rows
        except ClickHouseError as error:
            raise Retry(f"ClickHouse: {str(error)[:200]}") from None


def _renamed(
    pseudonyms: Mapping[str, str], emails: Sequence[ErasedEmail], more: str, domains: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """For each lead the change of its rows, and their condition."""
    own = _among("recipient_domain", domains) if domains else ""
    domain = f", recipient_domain = if({own}, '', recipient_domain)" if own else ""
    for lead, pseudonym in pseudonyms.items():
        for chunk in _chunks([email.delivery_id for email in emails if email.lead == lead]):
            condition = f"delivery_id IN ({_quoted(chunk)})"
            yield f"lead = '{pseudonym}'{domain}{more} WHERE {condition}", condition


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    different = sorted(set(ids))
    for at in range(0, len(different), _CHUNK):
        yield different[at : at + _CHUNK]


def _among(column: str, words: Sequence[str]) -> str:
    """Whether the column holds one of these words, said without them."""
    salt = secrets.token_hex(16)
    hashed = _quoted([sha256((salt + word).encode()).hexdigest() for word in words])
    return f"lower(hex(SHA256(concat('{salt}', {column})))) IN ({hashed})"


def _quoted(words: Sequence[str]) -> str:
    """UUIDs and hex digits, as a list in SQL."""
    return ", ".join(f"'{word}'" for word in words)
