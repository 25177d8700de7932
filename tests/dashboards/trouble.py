"""Ten days of a campaign that meets trouble, small enough to count by hand, every event of it stored twice.

`launch`, step 1, twelve emails on 10 March 2026 from 09:00 UTC, one a minute, to person-0 ... person-11; the first eight
from a@example.com, the others from b@example.com. By number, with the recipient's domain:

    0 gmail.com        bounces hard, user-unknown 5.1.1, and its address is known to be dead
    1 gmail.com        taken, and returned two days later: hard, user-unknown 5.1.1
    2 gmail.com        taken; a robot from Proofpoint's network opens it and follows its link, a person opens it;
                       unsubscribed and taken back
    3 googlemail.com   taken; answered by a person, and before by a machine
    4 hotmail.com      blocked, policy 5.7.1
    5 hotmail.com      bounces softly, mailbox-full 5.2.2, and a day later hard, user-unknown 5.1.1
    6 hotmail.com      taken; complained of
    7 example.org      put off twice, 4.2.1, then taken
    8 (not known)      put off, 4.7.1, and waits still
    9 (not known)      at its server when the worker died: an operator decides
   10 Example.ORG      bounces for an unknown reason, filtered
   11 example.org      nobody answered at first; an operator found that it went out

So ten were sent: 3 bounced hard, 2 softly, 1 was blocked, five were delivered. The campaign was paused for its bounces on
11 March at 10:00, resumed the day after at 09:00, and paused by an operator on the 15th. `person-12` was never mailed: it
had unsubscribed, so that its email was skipped. One lead of another campaign, `quiet`, was erased.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse.store import insert_lines
from schemas.events import (
    AnyEvent,
    AutoReplied,
    BounceClass,
    Bounced,
    CampaignPaused,
    CampaignResumed,
    Clicked,
    Complained,
    Deferred,
    Delivered,
    Lead,
    Opened,
    Replied,
    Resubscribed,
    Sent,
    Skipped,
    Unanswered,
    Unsubscribed,
    lines,
)
from schemas.tokens import delivery_id, event_id

SINCE, UNTIL = datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC)
AT = datetime(2026, 3, 10, 9, tzinfo=UTC)
PAUSED_AT, RESUMED_AT = datetime(2026, 3, 11, 10, tzinfo=UTC), datetime(2026, 3, 12, 9, tzinfo=UTC)
PAUSED_AGAIN_AT = datetime(2026, 3, 15, 12, tzinfo=UTC)
LINK, URL = "ab" * 32, "https://example.com/launch?a=1"
ERASED = "erased:5f3a"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_DOMAINS = (
    3 * ["gmail.com"] + ["googlemail.com"] + 3 * ["hotmail.com"] + ["example.org", "", "", "Example.ORG", "example.org"]
)


def _sender(n: int) -> str:
    return "a@example.com" if n < 8 else "b@example.com"


def _of(n: int, cause: str, at: datetime, campaign: str = "launch", lead: str = "") -> dict[str, Any]:
    lead = lead or f"person-{n}"
    email = delivery_id(campaign, 1, lead)
    return {
        "id": str(event_id(email, cause)),
        "at": at,
        "delivery_id": str(email),
        "campaign": campaign,
        "step": 1,
        "variant": "A",
        "lead": lead,
    }


def _sent(n: int, at: datetime) -> Iterator[AnyEvent]:
    yield Sent(
        **_of(n, "sent", at),
        sender=_sender(n),
        recipient_domain=_DOMAINS[n],
        message_id=f"<{n}@example.com>",
        address=f"hash-{n}",
    )


def _taken(n: int, at: datetime) -> Iterator[AnyEvent]:
    yield from _sent(n, at)
    yield Delivered(**_of(n, "delivered", at), sender=_sender(n))


def _bounced(n: int, at: datetime, bounce_class: BounceClass, category: str, status: str, words: str) -> Bounced:
    return Bounced(
        **_of(n, f"bounce {at}", at),
        sender=_sender(n),
        bounce_class=bounce_class,
        category=category,
        status=status,
        diagnostic=words,
        via="report" if at > AT + HOUR else "session",
    )


def _deferred(n: int, at: datetime, status: str, words: str, attempt: int = 1) -> Deferred:
    return Deferred(
        **_of(n, f"deferred {attempt}", at), sender=_sender(n), status=status, diagnostic=words, attempt=attempt
    )


def troubled_days() -> Iterator[AnyEvent]:
    """The events of the module's text."""
    at = [AT + timedelta(minutes=n) for n in range(12)]
    nobody = "550 5.1.1 <person-0@gmail.com>: no such user"
    yield from _sent(0, at[0])
    yield _bounced(0, at[0], "hard", "user-unknown", "5.1.1", nobody)
    yield from _taken(1, at[1])
    yield _bounced(1, at[1] + 2 * DAY, "hard", "user-unknown", "5.1.1", nobody)
    yield from _person_2(at[2])
    yield from _taken(3, at[3])
    mail = {"sender": _sender(3), "matched_by": "in-reply-to"}
    yield AutoReplied(**_of(3, "auto", at[3] + HOUR), **mail, message_id="a@x", subject="Out of office")
    yield Replied(**_of(3, "reply", at[3] + DAY), **mail, message_id="r@x", subject="Re: Launch", text="Yes, please.")
    yield from _sent(4, at[4])
    yield _bounced(4, at[4], "block", "policy", "5.7.1", "550 5.7.1 refused by policy")
    yield from _sent(5, at[5])
    yield _bounced(5, at[5], "soft", "mailbox-full", "5.2.2", "552 5.2.2 mailbox full")
    yield _bounced(5, at[5] + DAY, "hard", "user-unknown", "5.1.1", "550 5.1.1 gone")
    yield from _taken(6, at[6])
    yield Complained(**_of(6, "complaint", at[6] + DAY), sender=_sender(6), message_id="c@x", matched_by="vmta")
    yield _deferred(7, at[7], "4.2.1", "450 4.2.1 <person-7@example.org> receives too quickly")
    yield _deferred(7, at[7] + timedelta(minutes=5), "4.2.1", "450 4.2.1 ask again", 2)
    yield from _taken(7, at[7] + HOUR)
    yield _deferred(8, at[8], "4.7.1", "451 4.7.1 later")
    for n in (9, 11):
        yield Unanswered(
            **_of(n, "unanswered", at[n]), sender=_sender(n), request_id=str(event_id("r", str(n))), message_id="m"
        )
    yield from _sent(10, at[10])
    yield _bounced(10, at[10], "unknown", "filtered", "5.0.0", "554 no")
    yield from _taken(11, at[11])
    yield Skipped(**_of(12, "skipped", at[11] + HOUR), reason="unsubscribed")
    yield from _pauses()
    yield Sent(
        **_of(0, "sent", AT - DAY, "quiet", ERASED),
        sender="c@example.com",
        recipient_domain="",
        message_id="",
        address="",
    )


def _person_2(at: datetime) -> Iterator[AnyEvent]:
    yield from _taken(2, at)
    robot: dict[str, Any] = {
        "verdict": "bot",
        "reason": "probable-network",
        "rules_version": "v1",
        "user_agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/131",
        "agent": "browser",
        "ip": "67.231.144.9",
        "network": "Proofpoint",
        "client": "Chrome",
        "device": "desktop",
        "country": "US",
    }
    second = timedelta(seconds=1)
    yield Opened(**_of(2, "o1", at + 9 * second), **robot)
    yield Clicked(**_of(2, "c1", at + 10 * second), **robot, link_id=LINK)
    yield Opened(
        **_of(2, "o2", at + HOUR),
        verdict="human",
        reason="mail-proxy",
        rules_version="v1",
        user_agent="(via ggpht.com GoogleImageProxy)",
        agent="Gmail image proxy",
        ip="66.102.9.0/24",
        client="Gmail (proxy)",
        device="unknown",
        country="US",
    )
    yield Unsubscribed(**_of(2, "u", at + 2 * HOUR), via="one-click")
    yield Resubscribed(**_of(2, "r", at + 3 * HOUR))


def _pauses() -> Iterator[AnyEvent]:
    def of(at: datetime) -> dict[str, Any]:
        return {"id": str(event_id("launch", at.isoformat())), "at": at, "campaign": "launch"}

    yield CampaignPaused(
        **of(PAUSED_AT), reason="bounces", detail="3 of 10 emails bounced hard", sent=10, hard_bounced=3
    )
    yield CampaignResumed(**of(RESUMED_AT))
    yield CampaignPaused(**of(PAUSED_AGAIN_AT), reason="operator")


def _facts() -> Iterator[Lead]:
    yield Lead(lead="person-0", fact="invalid", at=AT)
    yield Lead(lead="hash-0", fact="invalid", at=AT, of="address")
    yield Lead(lead="hash-1", fact="invalid", at=AT + timedelta(minutes=1) + 2 * DAY, of="address")
    yield Lead(lead="person-2", fact="unsubscribed", at=AT + timedelta(minutes=2) + 3 * HOUR, holds=False)
    yield Lead(lead="person-3", fact="replied", at=AT + timedelta(minutes=3) + DAY, campaign="launch")
    yield Lead(lead="person-6", fact="complained", at=AT + timedelta(minutes=6) + DAY)
    yield Lead(lead="person-12", fact="unsubscribed", at=AT - DAY)
    yield Lead(lead="5f3a", fact="erased", at=AT, of="hashed-lead")
    yield Lead(lead="somebody else", fact="invalid", at=AT)


def insert_trouble(client: Client) -> None:
    """Store it twice, as a replay would."""
    events = list(troubled_days())
    for _ in range(2):
        insert_lines(client, "events", lines(events))
        insert_lines(client, "lead_facts", lines(_facts()))
        client.insert("campaigns", [["launch", "The launch", AT]], column_names=["id", "name", "created_at"])
        client.insert("links", [[LINK.encode(), "launch", URL]], column_names=["link_id", "campaign", "url"])
        client.insert(
            "retries",
            [
                _waits(7, "deferred", 2, AT + HOUR, 0),
                _waits(7, "settled", 2, AT + HOUR, 1),
                _waits(8, "deferred", 1, AT + 6 * HOUR, 0),
                _waits(9, "unanswered", 1, AT, 0),
                _waits(11, "unanswered", 1, AT, 0),
            ],
            column_names=[
                "delivery_id", "campaign", "step", "lead", "sender", "state", "attempt", "first_at", "due_at", "at",
                "stored_at",
            ],
        )  # fmt: skip


def _waits(n: int, state: str, attempt: int, due_at: datetime, order: int) -> list[Any]:
    at = AT + timedelta(minutes=n)
    delivery, lead = str(delivery_id("launch", 1, f"person-{n}")), f"person-{n}"
    return [delivery, "launch", 1, lead, _sender(n), state, attempt, at, due_at, at, datetime.now(UTC) + order * HOUR]
