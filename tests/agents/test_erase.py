"""Erasing a person on a real broker and a real ClickHouse: nothing of them stays, and no number changes."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from agents.erase import erase_person
from agents.restore import restore
from schemas.attempts import Attempt, Waiting
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
    lead_key,
    lines,
)
from schemas.settings import Settings
from schemas.state import StateTopic
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
    SENDS,
    delivery_partition,
    text_partition,
)
from schemas.webhooks import Call
from tests.agents.smtp_server import Server
from tests.support.broker import Broker
from tests.support.processes import wait_until
from tests.support.stream import Stream, running_stream
from tests.test_command import sendlens, settings_of

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
    answer = {**sender, "message_id": f"<1.{address}>", "matched_by": "token"}
    judged = {"verdict": "human", "reason": "browser", "rules_version": "1", "user_agent": AGENT, "ip": IP}
    return [
        Sent(
            **one("sent", 60),
            **sender,
            recipient_domain=address.rpartition("@")[2],
            message_id=settings.keyring.sign(Purpose.MESSAGE, claim),
            address=settings.keyring.address_ids(address)[0],
        ),
        Delivered(**one("delivered", 60), **sender),
        Deferred(**one("deferred", 61), **sender, status="4.2.1", diagnostic=f"450 <{address}> not now", attempt=1),
        Opened(**one("open", 50), **judged),
        Clicked(**one("click", 49), **judged, link_id="a" * 64),
        Replied(**one("reply", 40), **answer, subject=f"Re: {text}", text=text),
        AutoReplied(**one("auto_reply", 39), **answer, subject=text),
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
    """Every column of every table that holds the text anywhere, and what ClickHouse itself writes down."""
    columns = client.query("SELECT table, name FROM system.columns WHERE database = currentDatabase()").result_rows
    found = []
    for table, column in columns:
        sql = f"SELECT count() FROM {table} WHERE positionCaseInsensitive(toString({column}), {{needle:String}}) > 0"
        if client.query(sql, parameters={"needle": needle}).result_rows[0][0]:
            found.append(f"{table}.{column}")
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


def erase(stream: Stream, *words: str) -> subprocess.CompletedProcess[str]:
    done = sendlens("lead", *words, **settings_of(stream))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def lived(tmp_path: Path, broker: Broker) -> Any:
    with running_stream(tmp_path, broker) as stream:
        worker = stream.start_worker("--stage", "store")
        write_lives(stream)
        with stream.client() as client:
            wait_until(lambda: stored(client) == (40, 4, 4, 6, 2, 2, 2), 60, "the rows")
        worker.stop()
        yield stream


def stored(client: Client) -> tuple[int, ...]:
    tables = ("events", "hits", "attempts", "lead_facts", "retries", "links", "calls")
    return tuple(int(client.query(f"SELECT count() FROM {table} FINAL").result_rows[0][0]) for table in tables)


def test_nothing_of_a_person_stays_and_no_number_changes(lived: Stream) -> None:
    with lived.client() as client:
        before = numbers(client)
        assert all(places(client, needle) for needle in (ADDRESS, *LEADS_OF_ADA, TEXT, IP))

        dry = erase(lived, "erase", ADDRESS.title(), "--dry-run")
        assert numbers(client) == before
        assert places(client, LEADS_OF_ADA[0])
        done = erase(lived, "erase", ADDRESS.title())
        assert "leads: 2, emails: 4" in done.stdout
        removed = [line.split()[:2] for line in done.stdout.splitlines()[1:12]]
        (rare,) = [row for row in removed if row[0] == "rare_events"]
        assert int(rare[1]) > 0
        assert [row for row in removed if row != rare] == [
            ["hits", "3"],
            ["retries", "1"],
            ["calls", "1"],
            ["lead_facts", "4"],
            ["links", "1"],
            ["attempts", "3"],
            ["outcomes", "3"],
            ["emails", "3"],
            ["events", "30"],
            ["topics", "19"],
        ]
        assert dry.stdout.replace("would be ", "") == done.stdout
        assert ADDRESS not in done.stdout.lower()

        assert numbers(client) == before
        told = {needle: places(client, needle) for needle in needles(lived.settings)}
        told.pop(erased_hash := lived.settings.keyring.address_ids(ADDRESS)[0])
        assert told == {needle: [] for needle in told}
        assert places(client, erased_hash) == ["lead_facts.lead", "mutations"]
        assert client.query("SELECT count() FROM events WHERE ip != '' OR text != ''").result_rows[0][0] == 3  # Bob's
        assert places(client, "lead-bob")
        assert places(client, OTHER)

        again = erase(lived, "erase", ADDRESS)
        assert "leads: 0, emails: 0" in again.stdout
        assert numbers(client) == before


class Killed(BaseException):
    """Nothing in between may catch it."""


class Mortal:
    """A client whose process is killed right after the first change that begins so."""

    def __init__(self, client: Client, dies_after: str) -> None:
        self._client = client
        self._dies_after = dies_after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def raw_insert(self, table: str, **more: Any) -> None:
        self._client.raw_insert(table, **more)
        self._die(f"INSERT {table}")

    def command(self, sql: str, **more: Any) -> None:
        self._client.command(sql, **more)
        self._die(sql)

    def _die(self, change: str) -> None:
        if change.startswith(self._dies_after):
            raise Killed


def test_one_that_is_killed_again_and_again_and_run_once_more_leaves_nothing_either(lived: Stream) -> None:
    """After the facts, in the middle of the tables, and between the last table's two leads."""
    with lived.client() as client:
        before = numbers(client)
        for dies_after in ("INSERT lead_facts", "ALTER TABLE retries", "ALTER TABLE events"):
            with pytest.raises(Killed):
                erase_person(lived.settings, Mortal(client, dies_after), ADDRESS, [], NOW)  # type: ignore[arg-type]
        erase_person(lived.settings, client, ADDRESS, [], NOW)
        told = {needle: places(client, needle) for needle in needles(lived.settings)}
        assert told.pop(lived.settings.keyring.address_ids(ADDRESS)[0]) == ["lead_facts.lead", "mutations"]
        assert told == {needle: [] for needle in told}
        assert numbers(client) == before
    view = StateTopic(lived.settings, LEADS, Lead, key=lambda lead: lead.key)
    view.start()
    try:
        wait_until(lambda: view.ready, 20, "the facts")
        lead = lived.settings.keyring.lead_ids(LEADS_OF_ADA[0])[0]
        found = view.get(lead_key(lead, "erased", of="hashed-lead"))
        assert found is not None
        assert found.holds
        assert view.get(lead_key(LEADS_OF_ADA[0], "complained")) is None
    finally:
        view.stop()


def test_an_erased_person_is_not_mailed_again_under_any_lead_or_address(tmp_path: Path, broker: Broker) -> None:
    asyncio.run(_not_mailed_again(tmp_path, broker))


async def _not_mailed_again(tmp_path: Path, broker: Broker) -> None:
    async with Server() as server:
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            await asyncio.to_thread(_not_mailed, stream, server)


def _not_mailed(stream: Stream, server: Server) -> None:
    settings = stream.settings
    stream.start_worker("--stage", "store", "--stage", "sender")
    write_lives(stream)
    with stream.client() as client:
        wait_until(lambda: stored(client)[0] == 40, 60, "the events")
        erase(stream, "erase", ADDRESS, "--lead", "brochure-1")
        before = numbers(client)
        sends = [
            a_send("new-lead", ADDRESS, 5),
            a_send(LEADS_OF_ADA[0], "new@example.org", 5),
            a_send("brochure-1", "new@example.org", 5),
            a_send("somebody", "somebody@example.org", 5),
        ]
        for send in sends:
            partition = text_partition(send.lead, settings.partitions)
            stream.write(SENDS, msgspec.json.encode(send), partition=partition)
        skipped = "SELECT lead, reason FROM events FINAL WHERE kind = 'skipped' ORDER BY lead"
        wait_until(lambda: len(client.query(skipped).result_rows) == 3, 60, "what was skipped")
        assert client.query(skipped).result_rows == [
            ("brochure-1", "erased"),
            (LEADS_OF_ADA[0], "erased"),
            ("new-lead", "erased"),
        ]
        wait_until(lambda: bool(server.mails), 60, "somebody's email")
        assert server.recipients() == ["somebody@example.org"]

        # That they were skipped names them again, until the next sweep.
        assert places(client, LEADS_OF_ADA[0])
        done = erase(stream, "sweep")
        assert "leads: 2, emails: 2" in done.stdout
        assert places(client, LEADS_OF_ADA[0]) == places(client, "brochure-1") == []
        assert [row for row in numbers(client)[2] if row in before[2]] == before[2]


def test_the_topics_are_taken_back_and_a_lost_broker_is_not_told_of_them(lived: Stream) -> None:
    erase(lived, "erase", ADDRESS)
    settings = lived.settings
    views = [
        StateTopic(settings, LEADS, Lead, key=lambda fact: fact.key),
        StateTopic(settings, RETRIES, Waiting, key=lambda wait: wait.delivery_id),
        StateTopic(settings, LINKS, Link, key=lambda link: link.link_id),
        StateTopic(settings, CALLS, Call, key=lambda call: call.key),
    ]
    for view in views:
        view.start()
    try:
        wait_until(lambda: all(view.ready for view in views), 30, "the views")
        facts, waits, links, calls = views
        assert [call.kind for call in calls] == ["reply"]
        assert facts.get(lead_key("lead-bob", "complained")) is not None
        assert {fact.lead for fact in facts}.isdisjoint(LEADS_OF_ADA)
        assert {wait.lead for wait in waits} == {"lead-bob"}
        assert len(links) == 1
        assert facts.get(lead_key(settings.keyring.address_ids(ADDRESS)[0], "erased", of="address")) is not None
        assert (
            facts.get(lead_key(settings.keyring.lead_ids(LEADS_OF_ADA[1])[0], "erased", of="hashed-lead")) is not None
        )
        assert all(view.rejected == 0 for view in views)
    finally:
        for view in views:
            view.stop()
    with lived.client() as client:
        assert restore(settings, client).keys() <= {"deliveries"}


def test_what_is_no_address_is_named() -> None:
    done = sendlens("lead", "erase", "nobody")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
