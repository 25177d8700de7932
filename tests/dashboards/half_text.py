"""A campaign of which half is HTML and half is text, made and sent as the sender does it; small enough to count by hand.

Of step 1, each delivered at once: 20 emails of variant `html` (a pixel and a link), 20 of `plain` (text without a link), 10
of `linked` (text with a link, which is wrapped). A person opened 8 of `html` by their pixel, and clicked in 4 of these; in
1 more the link was followed and no image loaded. In 3 of `linked` a person followed the link.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from decisions.sending.answers import SmtpAccepted, delivered
from decisions.sending.instrument import instrument
from schemas.events import AnyEvent, Clicked, Opened, Send
from schemas.tokens import Keyring, delivery_id, event_id

CAMPAIGN = "half-text"
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
_LINK = "https://example.org/offer"
_BODIES = {
    "html": {"html": f'<p>Hello</p><p><a href="{_LINK}">An offer</a></p>'},
    "plain": {"text": "Hello, and nothing to follow."},
    "linked": {"text": f"Hello, look at {_LINK}"},
}
_EMAILS = {"html": 20, "plain": 20, "linked": 10}


def half_text(keyring: Keyring) -> Iterator[AnyEvent]:
    """The events of the module's text."""
    for variant, emails in _EMAILS.items():
        for n in range(emails):
            send = _send(variant, n)
            mail = instrument(
                send, keyring, public_url="https://track.example.com", envelope_domain="example.com", now=AT
            )
            events, _ = delivered(send, mail, SmtpAccepted(AT, AT, "250 2.0.0 Ok"), 1)
            yield from events
            if variant == "html" and n < 8:
                yield Opened(**_hit(send, "open", timedelta(hours=2)))  # type: ignore[arg-type]
            if (variant == "html" and n in (4, 5, 6, 7, 8)) or (variant == "linked" and n < 3):
                yield Clicked(**_hit(send, "click", timedelta(hours=1)), link_id=mail.links[0].link_id)  # type: ignore[arg-type]


def _send(variant: str, n: int) -> Send:
    lead = f"{variant}-{n}"
    delivery = str(delivery_id(CAMPAIGN, 1, lead))
    return Send(
        request_id=str(event_id(delivery, "request")),
        delivery_id=delivery,
        campaign=CAMPAIGN,
        step=1,
        variant=variant,
        lead=lead,
        to=f"{lead}@example.net",
        sender="News <news@example.com>",
        subject="Hello",
        requested_at=AT,
        **_BODIES[variant],
    )


def _hit(send: Send, kind: str, after: timedelta) -> dict[str, object]:
    return {
        "id": str(event_id(send.delivery_id, kind)),
        "at": AT + after,
        "delivery_id": send.delivery_id,
        "campaign": send.campaign,
        "step": send.step,
        "variant": send.variant,
        "lead": send.lead,
        "verdict": "human",
        "reason": "mail-client",
        "rules_version": "test",
    }
