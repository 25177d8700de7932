"""A week of two campaigns, small enough to count by hand, every event of it stored twice.

`spring` (40 emails, step 1, variants A and B, sent on 2 March 2026 at 09:00 UTC, two per minute):
    2 bounce hard, 1 softly, 1 is blocked, 36 are delivered.
    A person opens 18, of which 9 also get a click. 8 more are opened by a privacy proxy only, 5 more by a robot only.
    People open with Thunderbird on desktops in Germany, and click with Firefox on phones in Austria.
    So 31 are opened by anybody. Robots follow links in 3 that no person clicked in: 12 are clicked by anybody.
    3 unsubscribe, 4 reply, 2 complain; for 5 a machine answers, which is no reply.
`owner's pick` (10 emails, step 2, variant A, sent on 4 March at 15:00 UTC, one per minute): all delivered, 5 opened
    and 1 clicked by a person.
Before them, on 24 February: 20 emails of `spring`, step 0, all delivered, 5 opened by a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clickhouse_connect.driver.client import Client
from msgspec import Struct

from clickhouse.store import insert_lines
from schemas.events import (
    AnyEvent,
    AutoReplied,
    BounceClass,
    Bounced,
    Clicked,
    Complained,
    Delivered,
    Opened,
    Replied,
    Sent,
    Unsubscribed,
    Verdict,
    lines,
)
from schemas.tokens import delivery_id, event_id

SINCE = datetime(2026, 3, 2, tzinfo=UTC)
UNTIL = datetime(2026, 3, 9, tzinfo=UTC)
SPRING_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
PICK_AT = datetime(2026, 3, 4, 15, tzinfo=UTC)
BEFORE_AT = datetime(2026, 2, 24, 9, tzinfo=UTC)
RULES = "test"
LINK = "f" * 64


class Email(Struct, frozen=True):
    """One email and what follows from it."""

    campaign: str
    step: int
    variant: str
    lead: str
    at: datetime

    @property
    def id(self) -> UUID:
        return delivery_id(self.campaign, self.step, self.lead)

    def common(self, kind: str, at: datetime) -> dict[str, object]:
        return {
            "id": str(event_id(self.id, f"{kind} {at.isoformat()}")),
            "at": at,
            "delivery_id": str(self.id),
            "campaign": self.campaign,
            "step": self.step,
            "variant": self.variant,
            "lead": self.lead,
        }

    def sent(self) -> Sent:
        return Sent(
            **self.common("sent", self.at),  # type: ignore[arg-type]
            sender="news@example.com",
            recipient_domain="example.net",
            message_id=f"<{self.id}@example.com>",
        )

    def delivered(self) -> Delivered:
        return Delivered(**self.common("delivered", self.at), sender="news@example.com")  # type: ignore[arg-type]

    def bounced(self, bounce_class: BounceClass) -> Bounced:
        return Bounced(
            **self.common("bounce", self.at + timedelta(seconds=1)),  # type: ignore[arg-type]
            sender="news@example.com",
            bounce_class=bounce_class,
            category="mailbox",
            status="5.1.1",
            diagnostic="no such user",
        )

    def opened(self, after: timedelta, verdict: Verdict, reason: str) -> Opened:
        return Opened(
            **self.common(f"open {reason}", self.at + after),  # type: ignore[arg-type]
            verdict=verdict,
            reason=reason,
            rules_version=RULES,
            client="Thunderbird" if verdict == "human" else "unknown",
            device="desktop" if verdict == "human" else "unknown",
            country="DE" if verdict == "human" else "",
        )

    def clicked(self, after: timedelta, verdict: Verdict, reason: str, link_id: str = LINK) -> Clicked:
        return Clicked(
            **self.common(f"click {reason}{link_id if link_id != LINK else ''}", self.at + after),  # type: ignore[arg-type]
            verdict=verdict,
            reason=reason,
            rules_version=RULES,
            client="Firefox" if verdict == "human" else "unknown",
            device="mobile" if verdict == "human" else "unknown",
            country="AT" if verdict == "human" else "",
            link_id=link_id,
        )

    def unsubscribed(self, after: timedelta) -> Unsubscribed:
        return Unsubscribed(**self.common("unsubscribe", self.at + after), via="page")  # type: ignore[arg-type]

    def answered(self, kind: type[Replied | AutoReplied | Complained], after: timedelta, **words: object) -> AnyEvent:
        mail: dict[str, object] = {
            "sender": "news@example.com",
            "message_id": f"{kind.__name__}@example.net",
            "matched_by": "in-reply-to",
        }
        mail |= words
        return kind(**self.common(kind.__name__, self.at + after), **mail)  # type: ignore[arg-type]


def known_week() -> Iterator[AnyEvent]:
    """The events of the module's text."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    for n in range(40):
        email = Email("spring", 1, "AB"[n % 2], f"lead-{n}", SPRING_AT + timedelta(seconds=30 * n))
        yield email.sent()
        if n >= 36:
            yield email.bounced(("hard", "hard", "soft", "block")[n - 36])
            continue
        yield email.delivered()
        if n < 18:
            yield email.opened(hour, "human", "mail-client")
        if n < 6:
            yield email.opened(2 * day, "human", "mail-client")  # again, a robot's besides
            yield email.opened(timedelta(seconds=1), "bot", "too-quick")
        if n < 9:
            yield email.clicked(hour + timedelta(minutes=1), "human", "browser")
        if n in (0, 1, 2):
            yield email.unsubscribed(day)
        if 10 <= n < 14:
            yield email.answered(Replied, hour)
            yield email.answered(Replied, day)
        if n in (14, 15):
            yield email.answered(Complained, hour)
        if 10 <= n < 15:
            yield email.answered(AutoReplied, hour)
        if 18 <= n < 26:
            yield email.opened(timedelta(minutes=5), "machine", "privacy-prefetch")
        if 26 <= n < 31:
            yield email.opened(timedelta(seconds=1), "bot", "too-quick")
        if 26 <= n < 29:
            yield email.clicked(timedelta(seconds=1), "bot", "too-quick")
    for n in range(10):
        email = Email("owner's pick", 2, "A", f"lead-{n}", PICK_AT + timedelta(minutes=n))
        yield email.sent()
        yield email.delivered()
        if n < 5:
            yield email.opened(hour, "human", "mail-client")
        if n < 1:
            yield email.clicked(hour, "human", "browser")
    for n in range(20):
        email = Email("spring", 0, "A", f"lead-{n}", BEFORE_AT)
        yield email.sent()
        yield email.delivered()
        if n < 5:
            yield email.opened(hour, "human", "mail-client")


def insert_known_week(client: Client) -> None:
    """Store the week twice, in two inserts, as a replay would."""
    events = list(known_week())
    for _ in range(2):
        insert_lines(client, "events", lines(events))
    client.insert(
        "campaigns",
        [["spring", "Spring sale", BEFORE_AT], ["owner's pick", "Owner's pick", PICK_AT]],
        column_names=["id", "name", "created_at"],
    )
    client.insert("pauses", [["owner's pick", True, PICK_AT]], column_names=["campaign", "paused", "at"])
