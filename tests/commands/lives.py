"""Two people's lives in an installation, for tests of what is left of one who is erased."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.counting import roll
from schemas.events import (
    AutoReplied,
    Bounced,
    Campaign,
    Clicked,
    Complained,
    Deferred,
    Delivered,
    Event,
    Hit,
    Lead,
    Link,
    Opened,
    Replied,
    Send,
    Sent,
    Unsubscribed,
    lines,
)
from schemas.settings import Settings
from schemas.state.attempts import Attempt, Waiting
from schemas.state.images import Image
from schemas.state.webhook_calls import Call
from schemas.tokens import Claim, Purpose, delivery_id, event_id
from schemas.topics import (
    ATTEMPTS,
    CALLS,
    CAMPAIGNS,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    RETRIES,
    delivery_partition,
    text_partition,
)
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import wait_until

NOW = datetime.now(UTC).replace(microsecond=0)
ADDRESS = "ada.king@lovelace.example"
LEADS_OF_ADA = ("customer-4711", "patron-0815")
TEXT = "Do call me at Ockham Park"
IP = "203.0.113.77"
AGENT = "Mozilla/5.0 (Analytical Engine)"
OTHER = "bob@example.com"


def of(campaign: str, step: int, lead: str, kind: str, minutes: int) -> dict[str, Any]:
    delivery = delivery_id(campaign, step, lead)
    return {
        "id": str(event_id(delivery, kind)),
        "at": NOW - timedelta(minutes=minutes),
        "delivery_id": str(delivery),
        "campaign": campaign,
        "step": step,
        "variant": "A",
        "lead": lead,
    }


def story(settings: Settings, campaign: str, step: int, lead: str, address: str) -> list[Event]:
    """One email with all that can happen to it."""

    def one(kind: str, minutes: int) -> dict[str, Any]:
        return of(campaign, step, lead, kind, minutes)

    sender = {"sender": "news@example.net"}
    claim = Claim(delivery_id(campaign, step, lead), campaign, step, "A", lead, int(NOW.timestamp()))
    text = TEXT if address.lower() == ADDRESS else "Bob's own words"
    stops: dict[str, Any] = {"asks_to_stop": True, "stop_phrase": text, "stop_line": 1}
    answer = {**sender, "message_id": f"<1.{address}>", "matched_by": "token"}
    judged = {"verdict": "human", "reason": "browser", "rules_version": "1", "user_agent": AGENT, "ip": IP}
    return [
        Sent(
            **one("sent", 60),
            **sender,
            recipient_domain=address.rpartition("@")[2],
            message_id=settings.keyring.sign(Purpose.MESSAGE, claim),
            address=settings.keyring.address_ids(address)[0],
            recipient=address,
        ),
        Delivered(**one("delivered", 60), **sender),
        Deferred(**one("deferred", 61), **sender, status="4.2.1", diagnostic=f"450 <{address}> not now", attempt=1),
        Opened(**one("open", 50), **judged),
        Clicked(**one("click", 49), **judged, link_id="a" * 64),
        Replied(**one("reply", 40), **answer, subject=f"Re: {text}", text=text, from_address=address, **stops),
        AutoReplied(**one("auto_reply", 39), **answer, subject=text, text=text, from_address=address),
        Bounced(
            **one("bounce", 30),
            **sender,
            bounce_class="soft",
            category="mailbox-full",
            status="5.2.2",
            diagnostic=f"552 5.2.2 <{address}> full",
        ),
        Complained(**one("complaint", 20), **answer),
        Unsubscribed(**one("unsubscribe", 10), via="page"),
    ]


def a_send(lead: str, address: str, step: int) -> Send:
    text = TEXT if address.lower() == ADDRESS else "Bob's own words"
    return Send(
        request_id=str(uuid.uuid4()),
        delivery_id=str(delivery_id("spring", step, lead)),
        campaign="spring",
        step=step,
        variant="A",
        lead=lead,
        to=address,
        sender="news@example.net",
        subject=text,
        text=text,
        html=f'{text} <img src="cid:face">',
        amp=f"<html amp4email>{text}",
        images=[Image(content_id="face", media_type="image/gif", content=b"GIF89a")],
        requested_at=NOW,
    )


def write_lives(stream: Stream) -> None:
    """Two people's emails on the topics, as the stages write them."""
    settings = stream.settings
    for campaign in ("spring", "autumn"):
        stream.write(CAMPAIGNS, msgspec.json.encode(Campaign(id=campaign, name=campaign, created_at=NOW)))
    emails = [("spring", 1, LEADS_OF_ADA[0], ADDRESS), ("spring", 2, LEADS_OF_ADA[0], ADDRESS)]
    emails += [("autumn", 1, LEADS_OF_ADA[1], ADDRESS.upper()), ("spring", 1, "lead-bob", OTHER)]
    for campaign, step, lead, address in emails:
        delivery = delivery_id(campaign, step, lead)
        partition = delivery_partition(str(delivery), settings.partitions)
        stream.write(EVENTS, lines(story(settings, campaign, step, lead, address)), partition=partition)
        hit = Hit(
            **of(campaign, step, lead, "hit", 50) | {"kind": "open", "minted_at": NOW, "ip": IP, "user_agent": AGENT}
        )
        stream.write(HITS, lines([hit]), partition=partition)
        attempt = Attempt(
            delivery_id=str(delivery),
            request_id=str(uuid.uuid4()),
            attempt=1,
            at=NOW,
            sender="news@example.net",
            message_id=settings.keyring.sign(Purpose.MESSAGE, Claim(delivery, campaign, step, "A", lead, 0)),
            outcome="delivered",
        )
        stream.write(ATTEMPTS, msgspec.json.encode(attempt), partition=partition)
        for fact in ("complained", "unsubscribed"):
            known = Lead(lead=lead, fact=fact, at=NOW)
            partition = text_partition(known.key, settings.partitions_of(LEADS))
            stream.write(LEADS, msgspec.json.encode(known), key=known.key.encode(), partition=partition)
    for lead, address in ((LEADS_OF_ADA[0], ADDRESS), ("lead-bob", OTHER)):
        reply = next(one for one in story(settings, "spring", 1, lead, address) if isinstance(one, Replied))
        call = Call(
            endpoint=str(uuid.uuid4()),
            event=reply.id,
            kind="reply",
            partition=0,
            attempt=1,
            first_at=NOW,
            due_at=NOW,
            body=msgspec.json.encode(reply).decode(),
        )
        partition = text_partition(call.key, settings.partitions_of(CALLS))
        stream.write(CALLS, msgspec.json.encode(call), key=call.key.encode(), partition=partition)
        send = a_send(lead, address, 3)
        waits = Waiting(
            delivery_id=send.delivery_id,
            request_id=send.request_id,
            campaign="spring",
            step=3,
            lead=lead,
            sender=send.sender,
            state="deferred",
            attempt=1,
            first_at=NOW,
            due_at=NOW + timedelta(hours=1),
            at=NOW,
            send=send,
        )
        partition = delivery_partition(send.delivery_id, settings.partitions)
        stream.write(RETRIES, msgspec.json.encode(waits), key=send.delivery_id.encode(), partition=partition)
        url = f"https://example.net/hello?who={address.replace('@', '%40')}"
        link = Link(link_id=settings.keyring.link_id("spring", url), campaign="spring", url=url)
        partition = text_partition(link.link_id, settings.partitions_of(LINKS))
        stream.write(LINKS, msgspec.json.encode(link), key=link.link_id.encode(), partition=partition)


def numbers(client: Client) -> list[Any]:
    """Everything that a panel could count: all but who it was."""
    asked = (
        "SELECT * EXCEPT (lead, recipient_domain) FROM v_outcomes ORDER BY delivery_id",
        "SELECT uniqExact(lead), uniqExact(delivery_id) FROM v_outcomes",
        "SELECT campaign, step, variant, toString(delivery_id), kind, toString(id), at, sender, verdict, reason,"
        " bounce_class, category, status, link_id, via, matched_by FROM events FINAL ORDER BY id",
        "SELECT count(), uniqExact(lead) FROM events FINAL",
    )
    return [client.query(sql).result_rows for sql in asked]


def places(client: Client, needle: str) -> list[str]:
    """Every column of every table that holds the text anywhere, and what ClickHouse itself writes down. Views hold nothing."""
    tables = client.query(
        "SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table IN"
        " (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View') GROUP BY table"
    ).result_rows
    found = []
    for table, columns in sorted(tables):
        held = ", ".join(f"countIf(positionCaseInsensitive(toString({one}), {{needle:String}}) > 0)" for one in columns)
        (counts,) = client.query(f"SELECT {held} FROM {table}", parameters={"needle": needle}).result_rows
        found += [f"{table}.{column}" for column, count in zip(columns, counts, strict=True) if count]
    sql = "SELECT count() FROM system.mutations WHERE positionCaseInsensitive(command, {needle:String}) > 0"
    return found + ["mutations"] * bool(client.query(sql, parameters={"needle": needle}).result_rows[0][0])


def needles(settings: Settings) -> list[str]:
    """What would tell of Ada: a lead's id stands in tokens as well, in three places of base64."""
    inside = [
        base64.urlsafe_b64encode(b" " * n + lead.encode())[4:-4].decode() for n in range(3) for lead in LEADS_OF_ADA
    ]
    return [
        ADDRESS,
        ADDRESS.replace("@", "%40"),
        "lovelace",
        *LEADS_OF_ADA,
        TEXT,
        *inside,
        settings.keyring.address_ids(ADDRESS)[0],
    ]


@contextmanager
def lived_stream(folder: Path, broker: Broker) -> Iterator[Stream]:
    """An installation in which both have lived, all of it stored; no worker runs any more."""
    with running_stream(folder, broker) as stream:
        worker = stream.start_worker("--stage", "store")
        write_lives(stream)
        with stream.client() as client:
            wait_until(lambda: stored(client) == (40, 4, 4, 6, 2, 2, 2), 60, "the rows")
            worker.stop()
            roll(client)  # whatever counts tell of them is told
        yield stream


def stored(client: Client) -> tuple[int, ...]:
    tables = ("events", "hits", "attempts", "lead_facts", "retries", "links", "calls")
    return tuple(int(client.query(f"SELECT count() FROM {table} FINAL").result_rows[0][0]) for table in tables)
