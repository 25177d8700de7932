"""What the sender may not send, and that nothing leaves twice."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from agents.sender.outcome import SendOutcome
from decisions.sending.gate import PriorSend
from schemas.errors import Retry
from schemas.events import Campaign, Delivered, Delivery, Lead, Pause, Skipped
from schemas.tokens import Purpose, event_id
from tests.agents.mails import NOW, a_send, parsed
from tests.agents.sender.sender_house import PATIENCE, House, house, pool_of, to
from tests.support.waiting import until

__all__ = ["house"]  # the fixture


@pytest.mark.parametrize("reason", ["unknown-campaign", "paused", "unsubscribed"])
async def test_what_may_not_go_out_is_skipped_with_its_reason(house: House, reason: str) -> None:
    send = a_send(campaign="autumn" if reason == "unknown-campaign" else "spring")
    if reason == "paused":
        house.pauses.put(Pause(campaign="spring", paused=True, at=NOW))
    if reason == "unsubscribed":
        house.leads.put(Lead(lead="lead-1", fact="unsubscribed", at=NOW))
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
    house.server.seconds_per_mail = 0.02

    async def pause(_: SendOutcome) -> None:
        house.pauses.put(Pause(campaign="spring", paused=True, at=NOW))

    results = await house.sender().send([to(f"lead-{n}") for n in range(9)], pause)
    paused = [result for result in results if [getattr(event, "reason", "") for event in result.events] == ["paused"]]
    assert len(paused) + len(house.server.mails) == 9
    assert 0 < len(house.server.mails) <= 4


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
    assert (replay.events, replay.delivery, replay.dead, replay.unfinished) == ((), None, None, False)
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
    assert not replay.events
    assert [type(event) for event in duplicate.events] == [Skipped]
    assert house.asked == [[send.delivery_id]]  # by the first worker alone
    assert len(house.server.mails) == 1


async def test_what_was_sent_long_ago_is_asked_of_the_store_once_a_batch(house: House) -> None:
    old, new = to("old"), to("new")
    house.sent_before[old.delivery_id] = PriorSend()
    results = await house.sender().send([old, new])
    assert house.asked == [[old.delivery_id, new.delivery_id]]
    assert [type(result.events[-1]) for result in results] == [Skipped, Delivered]


async def test_while_the_store_cannot_say_what_was_sent_nothing_leaves(house: House) -> None:
    house.failures = [Retry("ClickHouse is down"), OSError("connection refused")]
    send = a_send()
    house.sent_before[send.delivery_id] = PriorSend(send.request_id)
    (result,) = await house.sender().send([send])
    assert len(house.asked) == 3
    assert (result.events, house.server.transactions) == ((), 0)


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
    assert bad.dead.reason == "control-character"
    assert not bad.events
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


async def test_partitions_that_are_taken_away_are_let_go_when_no_email_is_at_the_server(house: House) -> None:
    house.server.seconds_per_mail = 0.2
    published: list[SendOutcome] = []

    async def publish(result: SendOutcome) -> None:
        await asyncio.sleep(0.05)
        published.append(result)

    sender = house.sender()  # over two connections
    sending = asyncio.create_task(sender.send([to(f"lead-{n}") for n in range(8)], publish))
    await until(lambda: house.server.under_way)
    await sender.withdraw(PATIENCE)
    left = {result.send.to for result in published if result.delivery}
    assert left == set(house.server.recipients()) != set()
    results = await sending
    assert {result.send.to for result in results if not result.unfinished} == left
    assert set(house.server.recipients()) == left, "the rest is the other worker's"


async def test_partitions_are_not_held_back_by_what_waits_for_the_mail_server(house: House) -> None:
    await house.server.stop()
    sender = house.sender(outage_seconds=(0.2, 0.2))
    sending = asyncio.create_task(sender.send([a_send()]))
    await until(lambda: pool_of(sender).trouble)
    async with asyncio.timeout(PATIENCE):
        await sender.withdraw(3600)
    await house.server.start()
    async with asyncio.timeout(PATIENCE):
        (result,) = await sending
    assert result.unfinished
    assert house.server.transactions == 0


async def test_requests_that_come_back_after_partitions_went_and_came_are_sent(house: House) -> None:
    sender = house.sender()
    await sender.withdraw(PATIENCE)
    sender.partitions_assigned()
    (result,) = await sender.send([a_send()])
    assert result.delivery is not None


async def test_nothing_leaves_while_the_list_of_unsubscribed_leads_cannot_be_read(house: House) -> None:
    """The view is as new as the worker and the request, but what came in the last hour is not to be seen."""
    passed = timedelta(0)
    sender = house.sender(clock=lambda: datetime.now(UTC) + passed)
    house.leads.current_at = datetime.now(UTC).timestamp()
    passed = timedelta(hours=1)
    sending = asyncio.create_task(sender.send([a_send()]))
    await asyncio.wait([sending], timeout=0.3)
    assert not sending.done()
    house.leads.put(Lead(lead="lead-1", fact="unsubscribed", at=NOW))
    house.leads.current_at = math.inf
    async with asyncio.timeout(PATIENCE):
        (result,) = await sending
    assert [getattr(event, "reason", "") for event in result.events] == ["unsubscribed"]
    assert house.server.transactions == 0


async def test_an_email_that_waited_long_leaves_with_tokens_of_now(house: House) -> None:
    """The judge knows by a token's age that an email is still on its way to the mail server."""
    waited = timedelta(0)

    def wait_long() -> None:
        nonlocal waited
        waited = timedelta(hours=1)

    house.on_links = wait_long
    html = '<a href="https://example.com/">x</a>'
    sender = house.sender(clock=lambda: datetime.now(UTC) + waited)
    (result,) = await sender.send([a_send(html=html)])
    assert result.delivery is not None
    (mail,) = house.server.mails
    token = parsed(mail.content)["Message-ID"].strip("<>").partition("@")[0]
    minted_at = house.settings.keyring.verify(Purpose.MESSAGE, token).minted_at
    assert result.delivery.at.timestamp() - minted_at < 60
