"""The sender against a real mail server: what leaves, what comes of it, and that nothing leaves twice or gets lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from agents.decisions.gate import Already
from agents.sender import Result, Sender
from schemas.errors import Retry
from schemas.events import Bounced, Campaign, Deferred, Delivered, Delivery, Lead, Link, Send, Sent, Skipped
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.tokens import Purpose, event_id
from schemas.topics import CAMPAIGNS, DELIVERIES, LEADS
from tests.agents.mails import KEYRING, NOW, a_send, parsed
from tests.agents.smtp_server import HANG_UP, SILENCE, Server

PATIENCE = 10.0


@dataclass
class House:
    """A sender with all it needs: the mail server, the state it reads, the links and questions it puts out."""

    server: Server
    settings: Settings
    campaigns: StateTopic[Campaign]
    leads: StateTopic[Lead]
    deliveries: StateTopic[Delivery]
    sent_before: dict[str, Already] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    on_links: Callable[[], None] = lambda: None
    senders: list[Sender] = field(default_factory=list)

    def sender(self, **changes: Any) -> Sender:
        """A sender as a worker that has just started has it."""
        arguments: dict[str, Any] = {
            "campaigns": self.campaigns,
            "leads": self.leads,
            "deliveries": self.deliveries,
            "already_sent": self._already_sent,
            "publish_links": self._publish_links,
            "retry_seconds": (0.01, 0.02, 0.04),
            "outage_seconds": (0.01, 0.05),
            "view_patience": 0.05,
        }
        self.senders.append(Sender(self.settings, **arguments | changes))
        return self.senders[-1]

    async def _already_sent(self, ids: list[str]) -> dict[str, Already]:
        self.asked.append(ids)
        if self.failures:
            raise self.failures.pop()
        return {id_: self.sent_before[id_] for id_ in ids if id_ in self.sent_before}

    async def _publish_links(self, links: list[Link]) -> None:
        await asyncio.sleep(0.01)  # an acknowledgement takes its time
        if self.failures:
            raise self.failures.pop()
        self.on_links()
        self.links += links


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with Server() as server:
        settings = Settings(  # type: ignore[call-arg]
            _env_file=None,
            smtp_port=server.port,
            smtp_connections=2,
            token_keys=",".join(f"{id_}:{secret.decode()}" for id_, secret in KEYRING.keys.items()),
        )
        house = House(
            server,
            settings,
            StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id),
            StateTopic(settings, LEADS, Lead, lambda lead: lead.lead),
            StateTopic(settings, DELIVERIES, Delivery, lambda delivery: delivery.delivery_id),
        )
        for view in (house.campaigns, house.leads, house.deliveries):
            view.current_at = math.inf
        house.campaigns.put(Campaign(id="spring", name="Spring", created_at=NOW))
        yield house
        for sender in house.senders:
            await sender.close()


def to(lead: str, **changes: Any) -> Send:
    return a_send(lead=lead, to=f"{lead}@example.net", **changes)


async def until(condition: Callable[[], object]) -> None:
    """Wait for it, or fail."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def test_an_email_that_is_taken_is_sent_and_delivered_at_the_moment_of_the_250(house: House) -> None:
    send = a_send(html='<a href="https://example.com/">x</a>', variant="B", step=2)
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # times are cut to the millisecond
    (result,) = await house.sender().send([send])
    (mail,) = house.server.mails
    sent, delivered = result.events
    assert isinstance(sent, Sent)
    assert isinstance(delivered, Delivered)
    assert before <= sent.at <= delivered.at <= datetime.now(UTC)
    assert mail.answered_at - timedelta(milliseconds=1) <= delivered.at
    assert (sent.id, delivered.id) == tuple(str(event_id(send.delivery_id, kind)) for kind in ("sent", "delivered"))
    for event in (sent, delivered):
        assert (event.delivery_id, event.campaign, event.step) == (send.delivery_id, "spring", 2)
        assert (event.variant, event.lead, event.sender) == ("B", "lead-1", "grace@example.com")
        assert event.at.microsecond % 1000 == 0
    assert (sent.recipient_domain, sent.attempt) == ("example.net", 1)
    assert parsed(mail.content)["Message-ID"] == f"<{sent.message_id}>"
    assert result.delivery == Delivery(delivery_id=send.delivery_id, request_id=send.request_id, at=delivered.at)
    assert (result.dead, result.unfinished) == (None, False)


async def test_the_mail_that_arrives_proves_its_delivery_everywhere(house: House) -> None:
    send = a_send()
    await house.sender().send([send])
    (mail,) = house.server.mails
    token = mail.envelope_from.partition("@")[0].removeprefix("bounce+")
    assert str(house.settings.keyring.verify_bounce(token).delivery_id) == send.delivery_id
    message_id = parsed(mail.content)["Message-ID"].strip("<>").partition("@")[0]
    assert str(house.settings.keyring.verify(Purpose.MESSAGE, message_id).delivery_id) == send.delivery_id


async def test_links_are_acknowledged_before_the_mail_leaves_and_only_once(house: House) -> None:
    mails_at_links: list[int] = []
    house.on_links = lambda: mails_at_links.append(len(house.server.mails))
    html = '<a href="https://example.com/a">x</a><a href="https://example.com/b">y</a>'
    sender = house.sender()
    await sender.send([to(f"lead-{n}", html=html) for n in range(6)])
    await sender.send([to("later", html=html)])
    assert mails_at_links == [0]
    assert sorted(link.url for link in house.links) == ["https://example.com/a", "https://example.com/b"]
    assert len(house.server.mails) == 7


async def test_while_links_cannot_be_announced_nothing_leaves(house: House) -> None:
    house.on_links = lambda: None
    seen: list[int] = []

    async def failing_twice(links: list[Link]) -> None:
        seen.append(len(house.server.mails))
        if len(seen) < 3:
            raise Retry("Kafka is away")

    sender = house.sender(publish_links=failing_twice)
    (result,) = await sender.send([a_send(html='<a href="https://example.com/a">x</a>')])
    assert seen == [0, 0, 0]
    assert result.delivery is not None


async def test_results_come_in_the_batchs_order_over_no_more_than_the_connections(house: House) -> None:
    house.server.seconds_per_mail = 0.002
    batch = [to(f"lead-{n}") for n in range(25)]
    house.server.at_rcpt["lead-3@example.net"].append("550 5.1.1 unknown")
    results = await house.sender().send(batch)
    assert [result.send for result in results] == batch
    assert [type(result.events[-1]) for result in results] == [Bounced if n == 3 else Delivered for n in range(25)]
    assert house.server.connections <= 2
    assert house.server.most_under_way <= 2


async def test_each_result_is_told_as_soon_as_it_is_known(house: House) -> None:
    told: list[str] = []

    async def settled(result: Result) -> None:
        told.append(result.send.lead)

    house.server.at_rcpt["slow@example.net"].extend(["451 4.7.1 later"] * 2)
    await house.sender().send([to("slow"), to("quick")], settled)
    assert told == ["quick", "slow"]


async def test_a_permanent_refusal_is_a_bounce_of_its_class(house: House) -> None:
    house.server.at_rcpt["gone@example.net"].append("550 5.1.1 User unknown")
    house.server.at_data["spam@example.net"].append("550 5.7.1 looks like spam")
    gone, spam = await house.sender().send([to("gone"), to("spam")])
    for result, bounce_class, status in ((gone, "hard", "5.1.1"), (spam, "block", "5.7.1")):
        sent, bounce = result.events
        assert isinstance(sent, Sent)
        assert isinstance(bounce, Bounced)
        assert (bounce.bounce_class, bounce.status) == (bounce_class, status)
        assert bounce.id == str(event_id(result.send.delivery_id, "bounce"))
        assert result.delivery is None
    assert house.server.transactions == 2


async def test_not_now_is_deferred_and_tried_again(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].extend(["452 4.2.2 mailbox full", "421 4.7.0 slow down"])
    (result,) = await house.sender().send([a_send()])
    first, second, sent, delivered = result.events
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert [(event.attempt, event.status) for event in (first, second)] == [(1, "4.2.2"), (2, "4.7.0")]
    assert first.id != second.id
    assert isinstance(sent, Sent)
    assert sent.attempt == 3
    assert isinstance(delivered, Delivered)
    assert len(house.server.mails) == 1


async def test_not_now_for_ever_is_a_soft_bounce(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].extend(["450 4.2.1 too quickly"] * 9)
    (result,) = await house.sender().send([a_send()])
    assert [type(event) for event in result.events] == [Deferred, Deferred, Deferred, Sent, Bounced]
    bounce = result.events[-1]
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.status) == ("soft", "4.2.1")
    assert house.server.transactions == 4


async def test_an_email_that_waits_for_its_next_attempt_keeps_no_other_waiting(house: House) -> None:
    batch = [to(f"grey-{n}") for n in range(8)]
    for send in batch:
        house.server.at_rcpt[send.to].append("451 4.7.1 greylisted")
    async with asyncio.timeout(PATIENCE):
        results = await house.sender(retry_seconds=(0.5,)).send([*batch, to("quick")])
    assert house.server.recipients()[0] == "quick@example.net"
    assert all(result.delivery for result in results)


@pytest.mark.parametrize("stage", ["rcpt", "data"])
@pytest.mark.parametrize("how", [HANG_UP, SILENCE])
async def test_a_server_that_falls_silent_has_said_not_now(house: House, how: str, stage: str) -> None:
    (house.server.at_rcpt if stage == "rcpt" else house.server.at_data)["ada@example.net"].append(how)
    sender = house.sender()
    sender.smtp._timeout = 0.2
    (result,) = await sender.send([a_send()])
    assert [type(event) for event in result.events] == [Deferred, Sent, Delivered]
    assert len(house.server.mails) == 1


async def test_a_server_that_is_down_loses_nothing_and_bounces_nothing(house: House) -> None:
    sender = house.sender()
    await sender.send([to("before")])
    await house.server.stop()
    sending = asyncio.create_task(sender.send([to(f"lead-{n}") for n in range(10)]))
    await until(lambda: sender.smtp.trouble)
    assert not sending.done()
    await house.server.start()
    async with asyncio.timeout(PATIENCE):
        results = await sending
    assert all(result.delivery for result in results)
    assert sorted(house.server.recipients()) == sorted(
        ["before@example.net", *(f"lead-{n}@example.net" for n in range(10))]
    )


async def test_a_server_that_crashes_in_the_middle_loses_nothing(house: House) -> None:
    house.server.seconds_per_mail = 0.005
    sender = house.sender()
    sending = asyncio.create_task(sender.send([to(f"lead-{n}") for n in range(30)]))
    await until(lambda: len(house.server.mails) >= 5)
    await house.server.stop()
    await until(lambda: sender.smtp.trouble)
    await house.server.start()
    async with asyncio.timeout(PATIENCE):
        results = await sending
    assert all(result.delivery for result in results)
    assert set(house.server.recipients()) == {f"lead-{n}@example.net" for n in range(30)}


async def test_stopping_leaves_unfinished_what_has_not_been_sent_and_keeps_what_has(house: House) -> None:
    sender = house.sender(retry_seconds=(60.0,))
    house.server.at_rcpt["slow@example.net"].append("451 4.7.1 later")
    told: list[str] = []

    async def settled(result: Result) -> None:
        told.append(result.send.lead)

    sending = asyncio.create_task(sender.send([to("slow"), to("quick")], settled))
    await until(lambda: told and house.server.transactions == 2)
    sender.stop()
    async with asyncio.timeout(PATIENCE):
        slow, quick = await sending
    assert slow.unfinished
    assert [type(event) for event in slow.events] == [Deferred]
    assert quick.delivery is not None
    (late,) = await sender.send([to("late")])
    assert late.unfinished
    assert house.server.recipients() == ["quick@example.net"]


@pytest.mark.parametrize("reason", ["unknown-campaign", "paused", "unsubscribed"])
async def test_what_may_not_go_out_is_skipped_with_its_reason(house: House, reason: str) -> None:
    send = a_send(campaign="autumn" if reason == "unknown-campaign" else "spring")
    if reason == "paused":
        house.campaigns.put(Campaign(id="spring", name="Spring", created_at=NOW, paused=True))
    if reason == "unsubscribed":
        house.leads.put(Lead(lead="lead-1", unsubscribed_at=NOW))
    (result,) = await house.sender().send([send])
    (skipped,) = result.events
    assert isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.id) == (reason, str(event_id(send.request_id, "skipped")))
    assert (result.delivery, house.server.transactions) == (None, 0)


async def test_a_campaign_that_is_still_on_its_way_is_waited_for(house: House) -> None:
    house.campaigns.current_at = 1.0  # what was written since is not to be seen yet
    sending = asyncio.create_task(house.sender().send([a_send(campaign="autumn")]))
    await asyncio.wait([sending], timeout=0.1)
    assert not sending.done()
    house.campaigns.put(Campaign(id="autumn", name="Autumn", created_at=NOW))
    house.campaigns.current_at = math.inf
    async with asyncio.timeout(PATIENCE):
        (result,) = await sending
    assert result.delivery is not None


async def test_a_campaign_declared_after_its_send_was_asked_for_is_still_found(house: House) -> None:
    sender = house.sender()
    house.campaigns.current_at = datetime.now(UTC).timestamp()  # as far as the request needs, and no further
    sending = asyncio.create_task(sender.send([a_send(campaign="autumn")]))
    await asyncio.wait([sending], timeout=0.1)
    house.campaigns.put(Campaign(id="autumn", name="Autumn", created_at=NOW))
    house.campaigns.current_at = math.inf
    async with asyncio.timeout(PATIENCE):
        (result,) = await sending
    assert result.delivery is not None


async def test_a_pause_counts_for_what_has_not_gone_out_yet(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("451 4.7.1 later")

    async def pause(_: Result) -> None:
        house.campaigns.put(Campaign(id="spring", name="Spring", created_at=NOW, paused=True))

    deferred, quick = await house.sender(retry_seconds=(0.6,)).send([a_send(), to("quick")], pause)
    assert quick.delivery is not None
    assert [type(event) for event in deferred.events] == [Deferred, Skipped]
    assert house.server.recipients() == ["quick@example.net"]


async def test_two_requests_for_one_email_in_a_batch_send_it_once(house: House) -> None:
    first, second = a_send(), a_send()
    sent, duplicate = await house.sender().send([first, second])
    assert sent.delivery is not None
    (skipped,) = duplicate.events
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "duplicate"
    assert len(house.server.mails) == 1


async def test_one_request_twice_in_a_batch_is_one_email_and_no_event(house: House) -> None:
    send = a_send()
    sent, replay = await house.sender().send([send, send])
    assert sent.delivery is not None
    assert (replay.events, replay.delivery, replay.dead, replay.unfinished) == ([], None, None, False)
    assert len(house.server.mails) == 1


async def test_concurrent_calls_for_one_email_send_it_once(house: House) -> None:
    house.server.seconds_per_mail = 0.02
    sender = house.sender()
    batches = await asyncio.gather(*(sender.send([a_send(request_id=str(uuid4()))]) for _ in range(8)))
    kinds = [type(event).__name__ for (result,) in batches for event in result.events]
    assert sorted(kinds) == ["Delivered", "Sent", *["Skipped"] * 7]
    assert len(house.server.mails) == 1


async def test_a_restarted_worker_knows_what_was_sent_from_the_topic(house: House) -> None:
    send = a_send()
    (result,) = await house.sender().send([send])
    assert result.delivery is not None
    house.deliveries.put(result.delivery)
    replay, duplicate = await house.sender().send([send, a_send()])
    assert replay.events == []
    assert [type(event) for event in duplicate.events] == [Skipped]
    assert house.asked == [[send.delivery_id]]  # by the first worker alone
    assert len(house.server.mails) == 1


async def test_what_was_sent_long_ago_is_asked_of_the_store_once_a_batch(house: House) -> None:
    old, new = to("old"), to("new")
    house.sent_before[old.delivery_id] = Already()
    results = await house.sender().send([old, new])
    assert house.asked == [[old.delivery_id, new.delivery_id]]
    assert [type(result.events[-1]) for result in results] == [Skipped, Delivered]


async def test_while_the_store_cannot_say_what_was_sent_nothing_leaves(house: House) -> None:
    house.failures = [Retry("ClickHouse is down"), OSError("connection refused")]
    send = a_send()
    house.sent_before[send.delivery_id] = Already(send.request_id)
    (result,) = await house.sender().send([send])
    assert len(house.asked) == 3
    assert (result.events, house.server.transactions) == ([], 0)


async def test_a_bounced_email_is_not_sent_again_by_another_request(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("550 5.1.1 User unknown")
    sender = house.sender()
    await sender.send([a_send()])
    (again,) = await sender.send([a_send()])
    assert [type(event) for event in again.events] == [Skipped]
    assert house.server.transactions == 1


async def test_a_request_that_cannot_become_an_email_is_set_aside_and_the_others_go_out(house: House) -> None:
    bad, good = await house.sender().send([to("bad", headers={"X-A": "b\r\nBcc: c@example.com"}), to("good")])
    assert bad.dead is not None
    assert bad.dead.reason == "header-injection"
    assert bad.events == []
    assert good.delivery is not None


async def test_a_worker_that_takes_over_partitions_first_sees_what_the_other_sent(house: House) -> None:
    sender = house.sender()
    await sender.send([to("first")])
    house.deliveries.current_at = datetime.now(UTC).timestamp() - 1
    sender.partitions_assigned()
    sending = asyncio.create_task(sender.send([a_send(request_id=str(uuid4()))]))
    await asyncio.wait([sending], timeout=0.1)
    assert not sending.done()
    other = a_send()
    house.deliveries.put(Delivery(delivery_id=other.delivery_id, request_id=other.request_id, at=NOW))
    house.deliveries.current_at = math.inf
    async with asyncio.timeout(PATIENCE):
        (result,) = await sending
    assert [type(event) for event in result.events] == [Skipped]
    assert house.server.recipients() == ["first@example.net"]
