"""Webhooks, with real brokers, workers and endpoints: each event is told, signed, until it is taken or 24 h are over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.webhooks.calls import WebhookCaller
from agents.webhooks.endpoint_admin import add, change, listed, named, redeliver
from schemas.errors import Misconfigured
from schemas.events import AnyEvent, Bounced, CampaignPaused, Event, Replied, Sent, WebhookDisabled, lines
from schemas.settings import Settings, load
from schemas.state.pauses import paused
from schemas.state.webhook_calls import Call, Endpoint
from schemas.tokens import delivery_id, event_id
from schemas.topics import CALLS, EVENTS, WEBHOOKS, delivery_partition
from stream.records import OutRecord, Record
from stream.topic_admin import create_topics
from stream.write_all import write_all
from tests.support.broker import Broker, drop_topics
from tests.support.hooks import a_chat, a_customer
from tests.support.processes import free_port
from tests.support.stream import Stream, running_stream
from tests.support.waiting import until, wait_until

NOW = datetime.now(UTC).replace(microsecond=0)
STAGES = ("--stage", "webhooks", "--stage", "store")


@pytest.fixture(scope="module")
def stream(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """One stream with one worker, shared: each test has a campaign of its own."""
    with running_stream(tmp_path_factory.mktemp("stream"), broker, webhooks_private=True) as stream:
        stream.start_worker(*STAGES)
        yield stream


@pytest.fixture
def settings(broker: Broker, tmp_path: Path) -> Iterator[Settings]:
    """Topics alone, for the stage by itself."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    surroundings = {"data_dir": tmp_path, "partitions": 4, **broker.surroundings}
    settings = load(kafka=broker.bootstrap, topic_prefix=prefix, webhooks_private=True, **surroundings)
    create_topics(settings)
    yield settings
    drop_topics(settings)


def of(lead: str, at: datetime = NOW) -> dict[str, Any]:
    delivery = str(delivery_id("spring", 1, lead))
    return {"at": at, "delivery_id": delivery, "campaign": "spring", "step": 1, "variant": "A", "lead": lead}


def a_reply(lead: str, at: datetime = NOW) -> Replied:
    id_ = str(event_id(delivery_id("spring", 1, lead), "reply"))
    return Replied(
        **of(lead, at), id=id_, sender="news@example.com", message_id="m", matched_by="message-id", text="Yes"
    )


def a_bounce(lead: str) -> Bounced:
    id_ = str(event_id(delivery_id("spring", 1, lead), "bounce"))
    return Bounced(
        **of(lead), id=id_, sender="news@example.com", bounce_class="hard", category="user-unknown", status="5.1.1", diagnostic=""
    )  # fmt: skip


def write(stream: Stream, *events: Event) -> None:
    for event in events:
        stream.write(
            EVENTS, lines([event]), partition=delivery_partition(event.delivery_id, stream.settings.partitions)
        )


def test_an_endpoint_is_told_of_what_it_asked_for_signed_and_of_nothing_else(stream: Stream) -> None:
    with a_customer() as customer:
        endpoint, customer.secret = add(stream.settings, customer.url, ["reply"], NOW)
        replies = [a_reply(f"lead-{n}") for n in range(20)]
        write(stream, *replies, a_bounce("lead-1"))
        wait_until(lambda: len(set(customer.ids)) == 20, 30, "the replies")
        stream.wait_until_drained()
        assert {told["type"] for told in customer.got} == {"reply"}
        assert set(customer.ids) == {reply.id for reply in replies}
        assert next(
            msgspec.convert(told["data"], Replied, strict=False)
            for told in customer.got
            if told["data"]["lead"] == "lead-7"
        ) == a_reply("lead-7")
        assert customer.forged == 0
        assert endpoint.id in [one.id for one in listed(stream.settings)]
        change(stream.settings, endpoint, "removed", NOW)
        assert endpoint.id not in [one.id for one in listed(stream.settings)]


def test_what_an_endpoint_did_not_take_is_told_by_the_next_worker_when_it_is_back(
    broker: Broker, tmp_path: Path
) -> None:
    port = free_port()
    with running_stream(tmp_path, broker, webhooks_private=True) as stream:
        _, secret = add(stream.settings, f"http://127.0.0.1:{port}/hook", [], NOW)
        worker = stream.start_worker(*STAGES)
        write(stream, *(a_reply(f"lead-{n}") for n in range(10)))
        stream.wait_until_drained()
        wait_until(
            lambda: stream.ask("SELECT count() FROM calls FINAL WHERE state = 'waiting'") == [(10,)], 20, "calls"
        )
        worker.popen.kill()
        with a_customer(port) as customer:
            customer.secret = secret
            stream.start_worker(*STAGES)
            wait_until(lambda: len(set(customer.ids)) == 10, 60, "what was not taken")
            wait_until(
                lambda: stream.ask("SELECT uniqExact(state), any(state) FROM calls FINAL") == [(1, "taken")],
                20,
                "settled",
            )
        assert customer.forged == 0


def test_what_waits_and_who_is_told_survive_the_loss_of_the_broker(own_broker: Broker, tmp_path: Path) -> None:
    port = free_port()
    with running_stream(tmp_path, own_broker, webhooks_private=True) as stream:
        endpoint, secret = add(stream.settings, f"http://127.0.0.1:{port}/hook", ["bounce", "reply"], NOW)
        worker = stream.start_worker(*STAGES)
        write(stream, a_reply("lead-1"))
        stream.wait_until_drained()
        worker.kill()
        own_broker.forget()
        restored = stream.migrate()
        assert (restored["webhooks"], restored["calls"]) == (1, 1)
        assert [(one.id, one.url, one.kinds) for one in listed(stream.settings)] == [
            (endpoint.id, endpoint.url, endpoint.kinds)
        ]
        with a_customer(port) as customer:
            customer.secret = secret
            stream.start_worker(*STAGES)
            wait_until(lambda: customer.ids == [a_reply("lead-1").id], 60, "what waited")


def test_what_was_missed_is_told_again_under_the_ids_it_had(stream: Stream) -> None:
    yesterday = NOW - timedelta(days=1)
    missed = [a_reply("missed-1", yesterday), a_reply("missed-2", yesterday)]
    with a_customer() as customer:
        write(stream, *missed, a_bounce("missed-3"))
        stream.wait_until_drained()
        endpoint, customer.secret = add(stream.settings, customer.url, ["reply"], NOW)
        span = ["--from", f"{yesterday:%Y-%m-%dT%H:%M:%S}", "--to", f"{NOW:%Y-%m-%dT%H:%M:%S}"]
        command = [sys.executable, "-m", "sendlens", "webhooks", "redeliver", endpoint.id[:8], *span]
        environment = stream.environment | {"PATH": "/usr/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.split()[:1]) == (0, ["2"]), done.stderr
        wait_until(lambda: len(customer.ids) >= 2, 30, "what was missed")
        assert sorted(customer.ids) == sorted(reply.id for reply in missed)
        told = [msgspec.convert(told["data"], Replied, strict=False) for told in customer.got]
        assert sorted(told, key=lambda reply: reply.lead) == missed
        disabled = change(stream.settings, endpoint, "disabled", NOW)
        with stream.client() as client, pytest.raises(Misconfigured, match="enable it first"):
            redeliver(stream.settings, client, disabled, NOW, NOW, NOW)


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@asynccontextmanager
async def the_stage(settings: Settings, clock: Time, written: list[OutRecord]) -> AsyncIterator[WebhookCaller]:
    """The stage itself, with a clock of its own; what it writes is kept in `written`."""

    async def write(out: Sequence[OutRecord]) -> None:
        written.extend(out)

    stage = WebhookCaller(settings, clock, luck=lambda: 0.5)
    await stage.start(write)
    stage.assigned({(EVENTS.name, n) for n in range(settings.partitions)})
    try:
        await until(lambda: len(stage._endpoints) > 0)
        yield stage
    finally:
        await stage.stop()


async def tell(stage: WebhookCaller, *events: AnyEvent) -> list[OutRecord]:
    records = [Record(EVENTS, 0, offset, b"", lines([event]), 0.0) for offset, event in enumerate(events)]
    return (await stage.handle(records)).out


async def test_an_endpoint_that_takes_nothing_for_24_hours_is_disabled_with_an_event(settings: Settings) -> None:
    with a_customer() as customer:
        endpoint, customer.secret = add(settings, customer.url, [], NOW)
        customer.status = 500
        clock, written = Time(), list[OutRecord]()
        async with the_stage(settings, clock, written) as stage:
            assert [
                msgspec.json.decode(out.value, type=Call).attempt for out in await tell(stage, a_reply("lead-1"))
            ] == [1]
            while not any(out.topic is WEBHOOKS for out in written):
                assert clock.ahead < timedelta(hours=26), "given up by now"
                before = len(written)
                clock.ahead += timedelta(hours=1, minutes=7)
                await until(lambda: len(written) > before)  # noqa: B023  # the attempt is over when it is written down
            disabled = [msgspec.json.decode(out.value, type=Endpoint) for out in written if out.topic is WEBHOOKS]
            assert [(one.id, one.state, one.reason) for one in disabled] == [(endpoint.id, "disabled", "500")]
            (event,) = (msgspec.json.decode(out.value, type=AnyEvent) for out in written if out.topic is EVENTS)
            assert isinstance(event, WebhookDisabled)
            assert (event.endpoint, event.reason) == (endpoint.id, "500")
            assert 20 <= customer.asked <= 30
            assert await tell(stage, a_reply("lead-2")) == [], "who is disabled is told nothing"


async def test_an_endpoint_that_is_gone_is_disabled_at_once(settings: Settings) -> None:
    with a_customer() as customer:
        add(settings, customer.url, [], NOW)
        customer.status = 410
        async with the_stage(settings, Time(), []) as stage:
            states = [out.topic.name for out in await tell(stage, a_reply("lead-1"))]
            assert sorted(states) == ["calls", "events", "webhooks"]


async def test_an_event_that_an_endpoint_refuses_does_not_hold_up_the_others(settings: Settings) -> None:
    with a_customer() as customer:
        _, customer.secret = add(settings, customer.url, [], NOW)
        customer.refuses = {"bounce"}
        async with the_stage(settings, Time(), []) as stage:
            (left,) = await tell(stage, a_bounce("lead-1"), a_reply("lead-2"), a_reply("lead-3"))
            assert msgspec.json.decode(left.value, type=Call).event == a_bounce("lead-1").id
            assert await tell(stage, a_reply("lead-4")) == []
            assert len(customer.got) == 3


async def test_an_endpoint_that_is_down_is_asked_by_one_event_and_told_all_when_it_is_back(settings: Settings) -> None:
    with a_customer() as customer:
        _, customer.secret = add(settings, customer.url, [], NOW)
        customer.status = 503
        clock, written = Time(), list[OutRecord]()
        async with the_stage(settings, clock, written) as stage:
            await tell(stage, a_reply("lead-0"))
            for n in range(1, 30):
                await tell(stage, a_reply(f"lead-{n}"))
            assert customer.asked == 1
            customer.status = 204
            clock.ahead += timedelta(minutes=2)
            await until(lambda: len(customer.ids) == 30)
            assert set(customer.ids) == {a_reply(f"lead-{n}").id for n in range(30)}
            await until(
                lambda: (
                    {out.key for out in written if out.topic is CALLS and b'"taken"' in out.value}
                    and len(stage._calls) == 0
                )
            )


async def test_an_endpoint_that_asks_for_it_is_told_to_whom_an_email_went(settings: Settings) -> None:
    settings = settings.model_copy(update={"webhooks_to": True})
    sent = Sent(
        **of("lead-1"), id=str(uuid.uuid4()), sender="news@example.com", recipient_domain="example.net", message_id="m", recipient="ada@example.net",
    )  # fmt: skip
    with a_customer() as asking, a_customer() as other:
        _, asking.secret = add(settings, asking.url, [], NOW, with_to=True)
        _, other.secret = add(settings, other.url, [], NOW)
        async with the_stage(settings, Time(), []) as stage:
            await until(lambda: len(stage._endpoints) == 2)
            assert await tell(stage, sent, a_reply("lead-1")) == []
    assert [told["data"]["to"] for told in asking.got] == ["ada@example.net"] * 2
    assert len(other.got) == 2
    assert "ada@" not in str(other.got)


@asynccontextmanager
async def the_stage_with_a_chat(settings: Settings, clock: Time) -> AsyncIterator[WebhookCaller]:
    """As `the_stage`, without an endpoint; what it writes is on the topics."""

    async def write(out: Sequence[OutRecord]) -> None:
        await asyncio.to_thread(write_all, settings, out)

    stage = WebhookCaller(settings, clock, luck=lambda: 0.5)
    await stage.start(write)
    stage.assigned({(EVENTS.name, n) for n in range(settings.partitions)})
    try:
        yield stage
    finally:
        await stage.stop()


def a_pause(at: datetime) -> CampaignPaused:
    detail = "3 of 40 emails bounced hard: 7.5 %, more than 5 %"
    return paused("spring", None, at, "bounces", detail=detail, sent=40, hard_bounced=3)[0]


async def test_a_chat_is_told_of_a_pause_once_whoever_reads_it_again(settings: Settings) -> None:
    now, clock = datetime.now(UTC), Time()
    with a_chat() as chat:
        settings = settings.model_copy(update={"pause_webhook": chat.url, "public_url": "https://t.example.com"})
        for _ in range(2):  # the second worker reads the same records again
            async with the_stage_with_a_chat(settings, clock) as stage:
                out = await tell(stage, a_pause(now), a_pause(now), a_reply("lead-1"), a_pause(now - timedelta(days=2)))
                await asyncio.to_thread(write_all, settings, out)
                assert await tell(stage, a_pause(now)) == []
        assert "secret" not in "".join(map(str, out))
    said = (
        "*Campaign spring was paused*\n3 of 40 emails bounced hard: 7.5 %, more than 5 %. Nothing more of it is sent."
    )
    link = "<https://t.example.com/?board=campaign&amp;campaign=spring|Open the campaign>"
    assert chat.got == [{"text": f"{said}\n{link}"}]


async def test_a_chat_that_is_away_is_told_when_it_is_back(settings: Settings) -> None:
    clock = Time()
    with a_chat() as chat:
        settings = settings.model_copy(update={"pause_webhook": chat.url})
        chat.status = 503
        async with the_stage_with_a_chat(settings, clock) as stage:
            (waiting,) = await tell(stage, a_pause(datetime.now(UTC)))
            await asyncio.to_thread(write_all, settings, [waiting])
            assert b"secret" not in (waiting.value or b"")
        chat.status = 200
        async with the_stage_with_a_chat(settings, clock):  # the worker that has the partition then
            clock.ahead = timedelta(minutes=2)
            await until(lambda: len(chat.got) == 1)
    assert chat.asked == 2


def test_what_can_be_no_endpoint_says_why(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match="no kind of event: opened; choose from"):
        add(settings, "https://example.com/", ["opened"], NOW)
    public = settings.model_copy(update={"webhooks_private": False})
    for url in ("http://example.com/", "https://127.0.0.1/", "https://[::1]/"):
        with pytest.raises(Misconfigured):
            add(public, url, [], NOW)
    with pytest.raises(Misconfigured, match="see `sendlens webhooks list`"):
        named(settings, str(uuid.uuid4()))
