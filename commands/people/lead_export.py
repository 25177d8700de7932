"""`sendlens lead export`: everything that is known of a person, as they may ask for it (GDPR, article 15)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse.ask import json_lines
from clickhouse.erasing import Erasure
from schemas.addresses import DisplayAddress, mailbox
from schemas.errors import Misconfigured, Reject
from schemas.settings import Settings

# What each part of the export is asked with. What `sendlens lead erase` takes, and nothing else, is in one of them.
_PARTS = {
    "facts": "person_facts",
    "events": "person_events",
    "hits": "person_hits",
    "attempts": "person_attempts",
    "waiting": "person_waiting",
    "calls": "person_calls",
    "links": "person_links",
}
# Columns that hold JSON as text.
_JSON = frozenset({"send", "body"})
# Of our own storing, and no data of the person's.
_OURS = frozenset({"stored_at"})


def person_of(address: str) -> DisplayAddress:
    """The address of a person. Raises Misconfigured for what is no address."""
    try:
        return mailbox(address)
    except Reject as error:
        raise Misconfigured(f"{error.detail or error.reason}: want local@domain.example") from None


def exported(settings: Settings, client: Client, address: str, more: Iterable[str], now: datetime) -> dict[str, Any]:
    """Everything that ClickHouse has of who has this address, and of these leads; what is empty is left out.

    Raises Misconfigured for what is no address, Retry when ClickHouse does not answer.
    """
    person, keyring, finding = person_of(address), settings.keyring, Erasure(client)
    addresses = list(keyring.address_ids(person.address))
    leads = sorted(finding.leads(addresses, person.address) | set(more))
    emails = finding.emails(leads) if leads else []
    asked: dict[str, Any] = {
        "leads": leads,
        "addresses": addresses,
        "domains": list(keyring.domain_ids(person.domain)),
        "emails": sorted({email.delivery_id for email in emails}),
        "links": finding.links(person.address),
    }
    found = {part: [_row(line) for line in json_lines(client, query, **asked)] for part, query in _PARTS.items()}
    return {
        "address": person.address.lower(),
        "exported_at": now.isoformat(timespec="seconds"),
        "leads": leads,
        **found,
    }


def _row(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    for name in _JSON & row.keys():
        row[name] = json.loads(row[name]) if row[name] else None
    return {name: value for name, value in row.items() if name not in _OURS and value not in ("", None, [], {})}
