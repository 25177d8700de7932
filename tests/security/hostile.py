"""Emails whose every text is a stranger's: one life each, from `sent` to a reply, for the sweeps over boards and `/v1`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.store import insert_lines
from schemas.events import (
    AnyEvent,
    AutoReplied,
    BounceClass,
    Bounced,
    CampaignPaused,
    Clicked,
    Complained,
    Deferred,
    LeftList,
    Opened,
    Replied,
    lines,
)
from schemas.state.previews import Preview
from schemas.tokens import event_id
from schemas.topics import PREVIEWS
from tests.dashboards.data import Email

SENT_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)
HTML = '<p>Hello, <a href="https://example.net/shop">the shop</a> is open.</p>'

_BOUNCES: tuple[BounceClass, ...] = ("hard", "soft", "block")


def emails(words: Sequence[str]) -> list[Email]:
    """An email for each word: the word is its campaign, its variant and its lead."""
    return [Email(word, n % 3, word, word, SENT_AT + timedelta(minutes=n)) for n, word in enumerate(words)]


def life(email: Email, word: str, link_id: str) -> Iterator[AnyEvent]:
    """What can happen to one email, all of it, with the word in each text that comes from outside."""
    hour = timedelta(hours=1)
    yield msgspec.structs.replace(email.sent(), sender=word, recipient_domain=word, message_id=word)
    yield msgspec.structs.replace(email.delivered(), sender=word)
    yield _of(email, Deferred, "deferred", hour, sender=word, status=word, diagnostic=word, attempt=1)
    for verdict in ("human", "bot", "machine"):
        seen = {
            "verdict": verdict,
            "reason": word,
            "rules_version": word,
            "user_agent": word,
            "agent": word,
            "ip": word,
            "network": word,
            "client": word,
            "device": word,
            "country": word,
        }
        yield _of(email, Opened, f"open {verdict}", hour, **seen)
        yield _of(email, Clicked, f"click {verdict}", hour, **seen, link_id=link_id)
    mail = {"sender": word, "message_id": word, "matched_by": word}
    answer = mail | {"subject": word, "text": word, "from_address": word}
    yield _of(email, Replied, "reply", 2 * hour, **answer, asks_to_stop=True, stop_phrase=word, stop_line=1)
    yield _of(email, AutoReplied, "auto_reply", 2 * hour, **answer)
    yield _of(email, Complained, "complaint", 3 * hour, **mail, category=word)
    yield msgspec.structs.replace(email.unsubscribed(3 * hour), reason=word)
    yield _of(email, LeftList, "leave", 3 * hour, list_name=word)
    paused = {"id": str(event_id(email.id, "campaign_paused")), "at": email.at + hour, "campaign": email.campaign}
    yield CampaignPaused(**paused, reason="operator", detail=word)


def bounce(email: Email, word: str, bounce_class: BounceClass) -> Iterator[AnyEvent]:
    yield msgspec.structs.replace(email.sent(), sender=word, recipient_domain=word)
    refusal = {"bounce_class": bounce_class, "category": word, "status": word, "diagnostic": word}
    yield _of(email, Bounced, "bounce", timedelta(), sender=word, **refusal)


def _of(email: Email, kind: Any, name: str, after: timedelta, **fields: Any) -> AnyEvent:
    event: AnyEvent = kind(**email.common(name, email.at + after), **fields)
    return event


def store(client: Client, words: Sequence[str], urls: Iterable[str] = ("https://example.net/",)) -> None:
    """Put the lives into a migrated database, for each of the urls a link that somebody followed, and for each email the
    HTML of its variant, which is harmless: tests/dashboards/test_click_map.py tries what is not."""
    links = [(f"{n:064x}", url) for n, url in enumerate(urls)]
    events: list[AnyEvent] = []
    previews: list[Preview] = []
    for n, (email, word) in enumerate(zip(emails(words), words, strict=True)):
        events += life(email, word, links[n % len(links)][0])
        bounced = msgspec.structs.replace(email, lead=f"bounced {n}")
        events += bounce(bounced, word, _BOUNCES[n % 3])
        previews.append(Preview(campaign=word, step=email.step, variant=word, html=HTML, at=SENT_AT))
    insert_lines(client, "events", lines(events))
    insert_lines(client, PREVIEWS.table, lines(previews))
    client.insert("campaigns", [[word, word, SENT_AT] for word in words], column_names=["id", "name", "created_at"])
    client.insert(
        "links",
        [[id_, words[n % len(words)], url] for n, (id_, url) in enumerate(links)],
        column_names=["link_id", "campaign", "url"],
    )
    client.insert(
        "pauses",
        [[word, True, SENT_AT + timedelta(hours=n), word] for n, word in enumerate(words)],
        column_names=["campaign", "paused", "at", "reason"],
    )
