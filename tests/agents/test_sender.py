"""The sender against a real mail server: what leaves, what comes of it, and that nothing leaves twice or gets lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agents.sender import Result
from schemas.errors import Retry
from schemas.events import Bounced, Deferred, Delivered, Delivery, Link, Sent
from schemas.tokens import Purpose, event_id
from tests.agents.mails import a_send, parsed
from tests.agents.sender_house import PATIENCE, House, house, to, until
from tests.agents.smtp_server import HANG_UP, SILENCE

__all__ = ["house"]  # the fixture


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
