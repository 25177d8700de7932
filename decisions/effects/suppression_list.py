"""An entry of the suppression list as an operator writes it, and the fact that it is on the topic `leads`.

The list is the facts that the guard writes too: there is one. An address and a domain are kept as keyed hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Literal, get_args

from msgspec import Struct

from decisions.tables import rows
from schemas.addresses import domain_of, mailbox
from schemas.errors import Reject
from schemas.events import FactOwner, Lead, to_ms
from schemas.text import first_steering
from schemas.tokens import MAX_TEXT_BYTES, Keyring

Reason = Literal["suppressed", "unsubscribed", "invalid", "complained", "snoozed"]
ReadReason = Reason | Literal["erased"]
Of = Literal["address", "domain", "lead"]

REASONS: tuple[Reason, ...] = get_args(Reason)
# `erased` nobody writes of an address or a lead, because it can't be taken back: it is read from exports, by hash.
_READ: tuple[ReadReason, ...] = (*REASONS, "erased")
MAX_SOURCE = 64
_AHEAD = timedelta(minutes=5)  # as far as clocks differ
_SOURCE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._:/@-]{{0,{MAX_SOURCE - 1}}}")
_HASH = re.compile(r"[0-9a-f]{32}")


class Entry(Struct, frozen=True, kw_only=True):
    """Who gets no mail, in one of `address`, `domain` and `lead`; or in `hashed`, the keyed hash of what `of` says, as
    an export has it. Of who was `erased` there is nothing but a hash."""

    address: str = ""
    domain: str = ""
    lead: str = ""
    hashed: str = ""
    of: str = ""
    reason: str = "suppressed"
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None


def fact_of(entry: Entry, keyring: Keyring, now: datetime) -> Lead:
    """The fact of an entry. Raises Reject with what is wrong: nothing is suppressed by half."""
    if entry.reason not in _READ:
        raise Reject("reason-unknown", f"reason: want one of {', '.join(REASONS)}")
    if entry.reason == "erased" and not entry.hashed:
        raise Reject("reason-unknown", "reason: erased stands in exports alone; `sendlens lead erase` erases a person")
    if entry.source and not _SOURCE.fullmatch(entry.source):
        raise Reject("source-invalid", f"source: want up to {MAX_SOURCE} letters, digits, blanks and . _ : / @ -")
    if entry.since is not None and entry.since > now + _AHEAD:
        raise Reject("since-future", "since: that is still to come; compare the clocks")
    if (entry.reason == "snoozed") != (entry.until is not None):
        raise Reject("until-invalid", "until: when a `snoozed` ends, which needs it; no other reason has an end")
    of, lead = _whom(entry, keyring)
    if of == "domain" and entry.reason != "suppressed":
        raise Reject("reason-unknown", "reason: a domain is suppressed, and nothing else")
    at = to_ms(min(entry.since or now, now))
    until = None if entry.until is None else to_ms(entry.until)
    return Lead(lead=lead, fact=entry.reason, at=at, of=of, source=entry.source, until=until)


def known_as(
    keyring: Keyring, *, address: str = "", domain: str = "", lead: str = "", id: str = ""
) -> dict[Of, list[str]]:
    """Under which names the list may have somebody: of each key that there is. Raises Reject unless exactly one of the
    four is given, and for one that can't be."""
    if sum(map(bool, (address, domain, lead, id))) != 1:
        raise Reject("parameter-invalid", "give one of address, domain, lead and id")
    if address:
        return {"address": list(keyring.address_ids(mailbox(address).address))}
    if domain:
        of_domain = keyring.domain_ids(domain_of(domain))
        return {"domain": list(of_domain[: len(keyring.lead_ids("-"))])}
    if lead:
        return {"lead": [_checked_lead(lead)]}
    return {"address": [_checked_hash(id)], "domain": [id]}


def reason_called(word: str) -> ReadReason:
    """The reason that another system's word means, or an export of ours; none is `suppressed`. Raises Reject for a word
    that nobody knows."""
    asked = re.sub(r"[\s_-]+", "-", word.strip().lower())
    found = _reasons().get(asked or "suppressed")
    if found is None:
        raise Reject("reason-unknown", f"reason: {word[:40]!r} is not known: write one of {', '.join(REASONS)}")
    return found


def _whom(entry: Entry, keyring: Keyring) -> tuple[FactOwner, str]:
    given = [name for name in ("address", "domain", "lead", "hashed") if getattr(entry, name)]
    if len(given) != 1:
        raise Reject("malformed", "give one of address, domain and lead")
    match given[0]:
        case "address":
            return "address", keyring.address_ids(mailbox(entry.address).address)[0]
        case "domain":
            return "domain", keyring.domain_ids(domain_of(entry.domain))[0]
        case "lead":
            return "lead", _checked_lead(entry.lead)
        case _:
            return _hashed(entry)


def _hashed(entry: Entry) -> tuple[FactOwner, str]:
    match entry.of:
        case "address" | "domain" as of:
            return of, _checked_hash(entry.hashed)
        case "hashed-lead" as of if entry.reason == "erased":
            return of, _checked_hash(entry.hashed)
        case _:
            raise Reject(
                "of-unknown", "of: an id is of an address, a domain or a lead; hashed-lead is of who was erased"
            )


def _checked_hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise Reject("id-invalid", "id: want the 32 hex digits that the list shows")
    return text


def _checked_lead(lead: str) -> str:
    if len(lead.encode()) > MAX_TEXT_BYTES:
        raise Reject("id-too-long", f"lead: at most {MAX_TEXT_BYTES} bytes of UTF-8")
    if steering := first_steering(lead):
        raise Reject("control-character", f"lead: {steering}")
    return lead


@cache
def _reasons() -> Mapping[str, ReadReason]:
    return dict(_read_reasons())


def _read_reasons() -> Iterator[tuple[str, ReadReason]]:
    for place, (word, fact, _source) in rows("suppression_reasons.tsv", 3):
        if fact not in _READ:
            raise ValueError(f"{place}: {fact} is no reason")
        yield word, fact
