"""Erasing a person on a real broker and a real ClickHouse: nothing of them stays, and no number changes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from clickhouse.counting import roll
from commands.backup.refill import refill
from schemas.events import (
    Fact,
    Lead,
    Link,
    lead_key,
)
from schemas.state.attempts import Waiting
from schemas.state.webhook_calls import Call
from schemas.topics import (
    CALLS,
    LEADS,
    LINKS,
    RETRIES,
    SENDS,
    text_partition,
)
from stream.state import StateTopic
from tests.agents.transport.smtp_server import Server
from tests.commands.lives import (
    ADDRESS,
    IP,
    LEADS_OF_ADA,
    OTHER,
    TEXT,
    a_send,
    lived_stream,
    needles,
    numbers,
    places,
    stored,
    write_lives,
)
from tests.commands.test_command import sendlens, settings_of
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import wait_until

# What may be known of anybody whatever the campaign: of Ada's two leads all of it, of her address all but the erasure;
# then that each lead replied, four emails, a link and a call.
_FACTS = len(get_args(Fact)) - len(("replied", "left"))
_KEYS = 2 * _FACTS + (_FACTS - 1) + 2 + 4 + 1 + 1


def erase(stream: Stream, *words: str) -> subprocess.CompletedProcess[str]:
    done = sendlens("lead", *words, **settings_of(stream))
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def lived(tmp_path: Path, broker: Broker) -> Iterator[Stream]:
    with lived_stream(tmp_path, broker) as stream:
        yield stream


def test_nothing_of_a_person_stays_and_no_number_changes(lived: Stream) -> None:
    with lived.client() as client:
        before = numbers(client)
        assert all(places(client, needle) for needle in (ADDRESS, *LEADS_OF_ADA, TEXT, IP))

        dry = erase(lived, "erase", ADDRESS.title(), "--dry-run")
        assert numbers(client) == before
        assert places(client, LEADS_OF_ADA[0])
        done = erase(lived, "erase", ADDRESS.title())
        assert "leads: 2, emails: 4" in done.stdout
        removed = [line.split()[:2] for line in done.stdout.splitlines()[1:15]]
        # Rows of what there are several of, by kind or by the hours in which something happened.
        several = [row for row in removed if row[0] in ("rare_events", "emails")]
        assert [int(rows) >= 3 for _, rows in several] == [True, True]
        assert [row for row in removed if row not in several] == [
            ["hits", "3"],
            ["retries", "1"],
            ["calls", "1"],
            ["lead_facts", "4"],
            ["links", "1"],
            ["attempts", "3"],
            ["lead_emails", "3"],
            ["last_events", "2"],
            ["judged_hits", "0"],
            ["outcomes", "3"],
            ["events", "30"],
            ["topics", str(_KEYS)],
        ]
        assert dry.stdout.replace("would be ", "") == done.stdout
        assert ADDRESS not in done.stdout.lower()

        assert numbers(client) == before
        told = {needle: places(client, needle) for needle in needles(lived.settings)}
        told.pop(erased_hash := lived.settings.keyring.address_ids(ADDRESS)[0])
        assert told == {needle: [] for needle in told}
        assert roll(client) > 0  # their hours are counted anew
        assert places(client, "lovelace") == []
        assert places(client, erased_hash) == ["lead_facts.lead", "mutations"]
        assert client.query("SELECT count() FROM events WHERE ip != '' OR text != ''").result_rows[0][0] == 4  # Bob's
        assert places(client, "lead-bob")
        assert places(client, OTHER)

        again = erase(lived, "erase", ADDRESS)
        assert "leads: 0, emails: 0" in again.stdout
        assert numbers(client) == before


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
        assert refill(settings, client).keys() <= {"deliveries"}


def test_what_is_no_address_is_named() -> None:
    done = sendlens("lead", "erase", "nobody")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
