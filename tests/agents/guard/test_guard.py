"""The guard on a real broker and a real ClickHouse: facts and pauses follow from events, once, whatever comes twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.guard.guard import Guard
from clickhouse.store import insert_lines
from dashboards.grafana.annotations import annotate
from schemas.errors import Retry
from schemas.events import (
    AnyEvent,
    CampaignPaused,
    Complained,
    Event,
    Pause,
    Replied,
    Resubscribed,
    Unsubscribed,
    lead_key,
    lines,
)
from schemas.state.pauses import paused, resumed
from schemas.topics import EVENTS, LEADS, PAUSES
from stream.records import OutRecord, Record
from tests.agents.guard.guarded import (
    PATIENCE,
    SENDER,
    Watched,
    address,
    bounced,
    leads,
    now,
    of,
    records,
    sent,
    watching,
    written,
)
from tests.support.broker import Broker
from tests.support.grafana import TOKEN, serving
from tests.support.stream import running_stream
from tests.support.waiting import until, wait_until

ANSWER = {"sender": SENDER, "message_id": "<1@example.com>", "matched_by": "token"}


@pytest.fixture(scope="module")
def guarded(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One stream with one worker, shared: each test has a campaign and leads of its own."""
    with running_stream(tmp_path_factory.mktemp("guard"), broker) as stream, watching(stream) as watched:
        stream.start_worker("--stage", "guard", "--stage", "store")
        yield watched


def stored(guarded: Watched, *events: Event) -> None:
    """Put events into ClickHouse alone: another guard saw them, long ago or just now."""
    with guarded.stream.client() as client:
        insert_lines(client, "events", lines(events))


def test_a_hard_bounce_invalidates_the_lead_and_its_address(guarded: Watched) -> None:
    guarded.declare("facts")
    guarded.happen_at_once(sent("facts", "bounced"), bounced("facts", "bounced"))
    wait_until(lambda: guarded.holds("bounced", "invalid"), PATIENCE, "the lead's fact")
    wait_until(lambda: guarded.holds(address("bounced"), "invalid", of="address"), PATIENCE, "the address's fact")


def test_a_report_that_comes_days_later_finds_the_address_in_clickhouse(guarded: Watched) -> None:
    guarded.declare("late")
    stored(guarded, sent("late", "lead-late", now() - timedelta(days=5)))
    guarded.happen(bounced("late", "lead-late"))
    wait_until(lambda: guarded.holds(address("lead-late"), "invalid", of="address"), PATIENCE, "the address's fact")


def test_an_email_that_clickhouse_shows_late_is_waited_for(guarded: Watched) -> None:
    guarded.declare("lagging")
    guarded.happen(bounced("lagging", "lead-lagging"))
    wait_until(lambda: guarded.holds("lead-lagging", "invalid"), PATIENCE, "the lead's fact")
    stored(guarded, sent("lagging", "lead-lagging"))
    wait_until(lambda: guarded.holds(address("lead-lagging"), "invalid", of="address"), PATIENCE, "the address's fact")


def test_soft_bounces_and_blocks_invalidate_nobody(guarded: Watched) -> None:
    guarded.declare("soft")
    for bounce_class in ("soft", "block", "unknown"):
        lead = f"lead-{bounce_class}"
        guarded.happen_at_once(sent("soft", lead), bounced("soft", lead, bounce_class))
    guarded.stream.wait_until_drained()
    assert not any(guarded.holds(f"lead-{c}", "invalid") for c in ("soft", "block", "unknown"))


def test_complaints_replies_and_unsubscribes_become_facts(guarded: Watched) -> None:
    guarded.declare("answers")
    for lead in ("grumpy", "chatty", "gone"):
        guarded.happen(sent("answers", lead))
    guarded.happen(
        Complained(**of("answers", "grumpy", "complaint"), **ANSWER),
        Replied(**of("answers", "chatty", "reply"), **ANSWER),
        Unsubscribed(**of("answers", "gone", "unsubscribe"), via="page"),
    )
    wait_until(lambda: guarded.holds("grumpy", "complained"), PATIENCE, "the complaint of the lead")
    wait_until(lambda: guarded.holds(address("grumpy"), "complained", of="address"), PATIENCE, "that of the address")
    wait_until(lambda: guarded.holds("chatty", "replied", campaign="answers"), PATIENCE, "the reply")
    wait_until(lambda: guarded.holds(address("gone"), "unsubscribed", of="address"), PATIENCE, "the unsubscribing")
    guarded.happen(Resubscribed(**of("answers", "gone", "resubscribe")))
    wait_until(lambda: not guarded.holds(address("gone"), "unsubscribed", of="address"), PATIENCE, "its taking back")


def a_stop(campaign: str, lead: str) -> Replied:
    asked: dict[str, Any] = {
        "text": "Please remove me.",
        "asks_to_stop": True,
        "stop_phrase": "Please remove me",
        "stop_line": 1,
    }
    return Replied(**of(campaign, lead, "reply"), **ANSWER, **asked)


def unsubscribes(guarded: Watched, campaign: str) -> list[Unsubscribed]:
    values = b"\n".join(guarded.stream.read(EVENTS)).splitlines()
    found = [msgspec.json.decode(line, type=AnyEvent) for line in values if line.startswith(b'{"kind":"unsubscribe"')]
    return [one for one in found if isinstance(one, Unsubscribed) and one.campaign == campaign]


def test_a_reply_that_asks_to_stop_unsubscribes_once_where_its_campaign_says_so(guarded: Watched) -> None:
    guarded.declare("acts", unsubscribe_on_reply=True)
    guarded.declare("tells")
    guarded.happen(sent("acts", "weary"), sent("tells", "patient"))
    reply = a_stop("acts", "weary")
    guarded.happen(reply, a_stop("tells", "patient"), reply)
    wait_until(lambda: guarded.holds("weary", "unsubscribed"), PATIENCE, "the lead's fact")
    wait_until(lambda: guarded.holds(address("weary"), "unsubscribed", of="address"), PATIENCE, "the address's fact")
    fact = guarded.facts.get(lead_key("weary", "unsubscribed"))
    assert fact is not None
    assert (fact.source, fact.at) == ("reply", reply.at)
    guarded.happen(Resubscribed(**of("acts", "weary", "resubscribe")), reply)
    guarded.stream.wait_until_drained()
    (event,) = unsubscribes(guarded, "acts")
    assert (event.via, event.at, event.lead) == ("reply", reply.at, "weary")
    assert unsubscribes(guarded, "tells") == []
    assert not guarded.holds("patient", "unsubscribed")
    assert not guarded.holds(
        address("weary"), "unsubscribed", of="address"
    )  # taken back, and the replay says nothing new


def test_the_same_event_again_writes_nothing(guarded: Watched) -> None:
    guarded.declare("again")
    guarded.happen_at_once(sent("again", "lead-again"), bounced("again", "lead-again"))
    guarded.stream.wait_until_drained()
    before = len(guarded.stream.read(LEADS))
    for _ in range(3):
        guarded.happen(bounced("again", "lead-again"))
    guarded.stream.wait_until_drained()
    assert len(guarded.stream.read(LEADS)) == before


def test_more_hard_bounces_than_allowed_pause_at_once_and_the_numbers_are_exact(guarded: Watched) -> None:
    guarded.declare("bad")
    emails = [sent("bad", lead) for lead in leads(25)]
    for _ in range(2):  # at-least-once: all of it stands twice on the topic
        guarded.happen_at_once(*emails, bounced("bad", "lead-0"))
    guarded.stream.wait_until_drained()
    assert not guarded.is_paused("bad")  # 1 of 25 is 4 %
    bounced_at = time.monotonic()
    guarded.happen(bounced("bad", "lead-1"))
    guarded.wait_for_pause("bad")
    print(f"paused {1000 * (time.monotonic() - bounced_at):.0f} ms after the bounce")
    guarded.stream.wait_until_drained()
    (event,) = guarded.paused_events("bad")
    assert (event.reason, event.sent, event.hard_bounced) == ("bounces", 25, 2)
    assert event.detail == "2 of 25 emails bounced hard: 8.0 %, more than 5 %"
    row = guarded.stream.ask(
        "SELECT reason, sent, hard_bounced FROM events FINAL WHERE kind = 'campaign_paused' AND campaign = 'bad'"
    )
    assert row == [("bounces", 25, 2)]


def test_exactly_the_limit_does_not_pause_however_often_the_bounce_comes(guarded: Watched) -> None:
    guarded.declare("at-the-limit")
    guarded.happen_at_once(*(sent("at-the-limit", lead) for lead in leads(20)))
    for _ in range(5):
        guarded.happen(bounced("at-the-limit", "lead-3"))
    guarded.stream.wait_until_drained()
    assert not guarded.is_paused("at-the-limit")


def test_bounces_of_the_first_emails_count_when_enough_were_sent(guarded: Watched) -> None:
    guarded.declare("early")
    guarded.happen_at_once(*(sent("early", lead) for lead in leads(10)), bounced("early", "lead-0"))
    guarded.happen(bounced("early", "lead-1"))
    guarded.stream.wait_until_drained()
    assert not guarded.is_paused("early")
    guarded.happen_at_once(*(sent("early", lead) for lead in leads(20)))
    guarded.wait_for_pause("early")


def test_a_resumed_campaign_is_paused_by_new_bounces_alone(guarded: Watched) -> None:
    guarded.declare("resumed", bounce_min_sends=4)
    guarded.happen_at_once(*(sent("resumed", lead) for lead in leads(4)), bounced("resumed", "lead-0"))
    guarded.wait_for_pause("resumed")
    pause = guarded.pauses.get("resumed")
    assert pause is not None
    _, running = resumed(pause, now())
    guarded.stream.write(PAUSES, msgspec.json.encode(running), key=b"resumed")
    wait_until(lambda: not guarded.is_paused("resumed"), PATIENCE, "the resuming")
    guarded.happen(bounced("resumed", "lead-1"), bounced("resumed", "lead-2"))  # of emails sent before
    guarded.happen_at_once(*(sent("resumed", lead) for lead in leads(4, "new")))
    guarded.stream.wait_until_drained()
    assert not guarded.is_paused("resumed")
    guarded.happen(bounced("resumed", "new-0"))
    guarded.wait_for_pause("resumed")
    guarded.stream.wait_until_drained()
    first, second = guarded.paused_events("resumed")
    assert first.id != second.id
    assert (second.sent, second.hard_bounced) == (4, 1)


def test_while_clickhouse_is_away_pauses_wait_and_nothing_is_lost(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream, watching(stream) as watched:
        stream.start_worker("--stage", "guard", "--stage", "store")
        watched.declare("dark")
        stream.clickhouse.kill()
        watched.happen_at_once(*(sent("dark", lead) for lead in leads(20)))
        watched.happen(bounced("dark", "lead-0"), bounced("dark", "lead-1"))
        worker = stream.workers[0]
        wait_until(lambda: "waiting to try again" in worker.output(), PATIENCE, "the guard's waiting")
        assert not watched.is_paused("dark")
        stream.restart_clickhouse()
        watched.wait_for_pause("dark", 60)
        stream.wait_until_drained()
        event = watched.paused_events("dark")[-1]
        assert (event.sent, event.hard_bounced) == (20, 2)
        assert watched.holds("lead-0", "invalid")
        assert watched.holds(address("lead-1"), "invalid", of="address")


class Disk:
    """Takes what a guard writes, and fails once for records of one topic."""

    def __init__(self, watched: Watched, fails_for: object = None) -> None:
        self.out: list[OutRecord] = []
        self._watched = watched
        self._fails_for = fails_for

    async def write(self, out: Sequence[OutRecord]) -> None:
        if any(one.topic is self._fails_for for one in out):
            self._fails_for = None
            raise Retry("killed between the two")
        for one in out:
            await asyncio.to_thread(
                self._watched.stream.write, one.topic, one.value, partition=one.partition, key=one.key
            )
        self.out += out


async def test_a_crash_between_event_and_pause_writes_the_same_event_again(guarded: Watched) -> None:
    await asyncio.to_thread(guarded.declare, "crashed", bounce_min_sends=2)
    batch = records(sent("crashed", "lead-0"), sent("crashed", "lead-1"), bounced("crashed", "lead-0"))
    disk = Disk(guarded, fails_for=PAUSES)
    for attempt in range(2):
        guard = Guard(guarded.stream.settings)  # the second one knows nothing of the first
        await guard.start(disk.write)
        try:
            if attempt == 0:
                with pytest.raises(Retry):
                    await guard.handle(batch)
            else:
                await guard.handle(batch)
        finally:
            await guard.stop()
    events = [msgspec.json.decode(value, type=CampaignPaused) for value in written(disk.out, EVENTS)]
    assert len(events) == 2
    assert len({event.id for event in events}) == 1
    (pause,) = [msgspec.json.decode(value, type=Pause) for value in written(disk.out, PAUSES)]
    assert (pause.campaign, pause.paused, pause.reason) == ("crashed", True, "bounces")


async def test_what_another_guard_saw_is_counted_when_clickhouse_shows_it(guarded: Watched) -> None:
    """Each of two guards sees one bounce of 20, which neither may pause for; both are 10 %."""
    await asyncio.to_thread(guarded.declare, "shared")
    disk = Disk(guarded)
    guard = Guard(guarded.stream.settings)
    await guard.start(disk.write)
    try:
        batch = records(*(sent("shared", lead) for lead in leads(20)), bounced("shared", "lead-0"))
        await guard.handle(batch)
        assert written(disk.out, PAUSES) == []
        await asyncio.to_thread(stored, guarded, bounced("shared", "lead-1"))
        await until(lambda: written(disk.out, PAUSES), PATIENCE)
    finally:
        await guard.stop()


async def test_a_pause_that_is_read_back_is_announced_once(guarded: Watched) -> None:
    event, _ = paused("announced", None, now(), "bounces", detail="2 of 25 emails bounced hard")
    batch = [Record(EVENTS, 0, offset, b"", lines([event]), now().timestamp()) for offset in range(2)]
    with serving() as grafana:
        settings = guarded.stream.settings.model_copy(update={"grafana_url": grafana.url, "grafana_token": TOKEN})
        guard = Guard(settings, annotate=partial(annotate, settings))
        await guard.start(Disk(guarded).write)
        try:
            await guard.handle(batch)
            await until(lambda: grafana.annotations, PATIENCE)
        finally:
            await guard.stop()
        assert [one["text"] for one in grafana.annotations] == [
            "Campaign announced was paused: 2 of 25 emails bounced hard"
        ]
