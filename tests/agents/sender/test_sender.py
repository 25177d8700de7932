"""The sender against a real mail server: what leaves, what comes of it, and that nothing leaves twice or gets lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from agents.sender.outcome import SendOutcome
from schemas.errors import Retry
from schemas.events import Bounced, Delivered, Delivery, Link, Sent
from schemas.tokens import Purpose, event_id
from tests.agents.mails import a_send, parsed
from tests.agents.sender.sender_house import PATIENCE, House, house, pool_of, to
from tests.agents.transport.smtp_server import SILENCE
from tests.support.waiting import until

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

    async def settled(result: SendOutcome) -> None:
        told.append(result.send.lead)

    house.server.at_data["slow@example.net"].append(SILENCE)
    sender = house.sender()
    sending = asyncio.create_task(sender.send([to("slow"), to("quick")], settled))
    await until(lambda: told)
    assert told == ["quick"]
    house.server.drop_connections()
    await sending
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


async def test_a_server_that_is_down_loses_nothing_and_bounces_nothing(house: House) -> None:
    sender = house.sender()
    await sender.send([to("before")])
    await house.server.stop()
    sending = asyncio.create_task(sender.send([to(f"lead-{n}") for n in range(10)]))
    await until(lambda: pool_of(sender).trouble)
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
    await until(lambda: pool_of(sender).trouble)
    await house.server.start()
    async with asyncio.timeout(PATIENCE):
        results = await sending
    unanswered = [result for result in results if result.waiting and result.waiting.state == "unanswered"]
    deferred = [result for result in results if result.waiting and result.waiting.state == "deferred"]
    assert len(unanswered) + len(deferred) <= 2, "those that were at the server: it has two connections"
    assert sum(result.delivery is not None for result in results) + len(unanswered) + len(deferred) == 30
    assert len(house.server.mails) == len(set(house.server.recipients()))


async def test_stopping_leaves_unfinished_what_has_not_been_sent_and_keeps_what_has(house: House) -> None:
    sender = house.sender()
    house.server.seconds_per_mail = 0.1
    told: list[str] = []

    async def settled(result: SendOutcome) -> None:
        told.append(result.send.lead)

    sending = asyncio.create_task(sender.send([to(f"lead-{n}") for n in range(9)], settled))
    await until(lambda: told)
    sender.stop()
    async with asyncio.timeout(PATIENCE):
        results = await sending
    left = {result.send.to for result in results if result.delivery}
    assert left == set(house.server.recipients())
    assert {result.send.to for result in results if result.unfinished} == {
        f"lead-{n}@example.net" for n in range(9)
    } - left
    assert 0 < len(left) < 9
    (late,) = await sender.send([to("late")])
    assert late.unfinished
