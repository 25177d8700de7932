"""What the sender may not send, and that nothing leaves twice."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from agents.decisions.gate import Already
from agents.sender import Result
from schemas.errors import Retry
from schemas.events import Campaign, Deferred, Delivered, Delivery, Lead, Skipped
from schemas.tokens import event_id
from tests.agents.mails import NOW, a_send
from tests.agents.sender_house import PATIENCE, House, house, to

__all__ = ["house"]  # the fixture


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
