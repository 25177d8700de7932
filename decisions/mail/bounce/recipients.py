"""A recipient of a report as it is handed on, with the evidence for what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from decisions.mail.addresses import addresses
from decisions.mail.bounce.refusal import Assessment
from decisions.mail.evidence import Evidence
from decisions.mail.parts import MimePart
from decisions.mail.verdict import Recipient

MOST_DIAGNOSTIC = 500  # characters that are kept
_REPORTED_BY = ("from", "reply-to", "return-path", "sender")
_REPORTED_TO = ("to", "delivered-to", "envelope-to", "x-apparently-to")
_IDS = ("message-id", "in-reply-to", "references")


@dataclass(frozen=True, slots=True)
class FoundRecipient:
    """A recipient, and the signs by which it was found and judged."""

    recipient: Recipient
    evidence: tuple[Evidence, ...] = ()


def refused(address: str, told: Assessment, text: str, why: tuple[Evidence, ...] = ()) -> FoundRecipient:
    """A recipient who was refused. `why` is how the address was found."""
    recipient = Recipient(
        address=address,
        bounce_class=told.category.bounce_class,
        category=told.category.category,
        status=told.status,
        diagnostic=" ".join(text.split())[:MOST_DIAGNOSTIC],
    )
    return FoundRecipient(recipient, why + told.evidence(address))


@dataclass(frozen=True, slots=True)
class Parties:
    """Who a report came from and whom it went to, and ids of messages that look like addresses. All in lower case."""

    reported_by: frozenset[str]
    reported_to: frozenset[str]
    ids: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Addresses that the report itself came from and went to: seldom whom it speaks of."""
        return self.reported_by | self.reported_to


def parties(mail: MimePart) -> Parties:
    """Those of a report, by its headers."""
    return Parties(_addresses(mail, _REPORTED_BY), _addresses(mail, _REPORTED_TO), frozenset(ids_of(mail)))


def ids_of(mail: MimePart) -> set[str]:
    """The ids that a mail has in its headers, as addresses are written (lower case)."""
    return set(_addresses(mail, _IDS))


def _addresses(mail: MimePart, names: tuple[str, ...]) -> frozenset[str]:
    found = (address for name in names for value in mail.all(name)[:20] for address in addresses(value)[:50])
    return frozenset(address.lower() for address in found)
