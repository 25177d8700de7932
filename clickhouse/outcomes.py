"""Who: the outcomes by which recipients are listed, and where a page of them ended (views/recipients.sql)."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from schemas.errors import Reject

OUTCOMES = {
    "sent": "The mail server gave its final answer, yes or no.",
    "delivered": "Sent and not bounced.",
    "opened": "A person opened it, or followed a link of it.",
    "opened_with_pixel": "The same of an email with a pixel, which the open rate counts.",
    "not_opened": "Delivered with a pixel, and no person opened it or followed a link.",
    "clicked": "A person followed a link.",
    "not_clicked": "Delivered with links, and no person followed one.",
    "replied": "A person answered.",
    "asked_to_stop": "A person asked in a reply for no more mail.",
    "not_replied": "Delivered, and no person answered.",
    "bounced": "Bounced for whatever reason.",
    "hard_bounced": "Bounced for good: the address is dead.",
    "soft_bounced": "Bounced for another reason.",
    "blocked": "Refused for the sender's or the content's sake.",
    "unsubscribed": "Unsubscribed, and did not take it back.",
    "complained": "Reported as spam.",
    "snoozed": "Its reader asked on the unsubscribe page for a pause.",
    "machine_opened": "Fetched ahead by a mailbox provider's privacy proxy.",
    "skipped": "Not sent, and not since then.",
}


class Place(Struct, frozen=True, array_like=True):
    """Where a page ended: the key of its last row. `slot` is the hour in seconds since 1970.

    The view's column `place` is one, as text; the caller hands it back as it is.
    """

    slot: Annotated[int, Meta(ge=0, le=4_294_967_295)] = 0
    campaign: Annotated[str, Meta(max_length=320)] = ""
    step: Annotated[int, Meta(ge=0, le=255)] = 0
    variant: Annotated[str, Meta(max_length=320)] = ""
    email: UUID = UUID(int=0)

    def parameters(self) -> dict[str, Any]:
        """As `recipients_page` takes it."""
        return {
            "after_slot": datetime.fromtimestamp(self.slot, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "after_campaign": self.campaign,
            "after_step": self.step,
            "after_variant": self.variant,
            "after_email": str(self.email),
        }


START = Place()


def read_place(text: str) -> Place:
    """A row's `place`; before the first row when it is empty. Raises Reject for what no row has."""
    if not text:
        return START
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Reject("cursor-invalid", "give the place of a row as it is, or leave it out") from None
