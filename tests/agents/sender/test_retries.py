"""Emails that their mail server did not take for now: they wait, come again, and come to an end within two days."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agents.sender.outcome import SendOutcome
from agents.sender.sender import Sender
from schemas.events import Bounced, Deferred, Delivered, Pause, Send, Sent, Skipped, Unanswered
from schemas.state.attempts import Wait
from tests.agents.mails import NOW, a_send
from tests.agents.sender.sender_house import House, house, pool_of, to
from tests.agents.transport.smtp_server import HANG_UP, SILENCE
from tests.support.waiting import until

__all__ = ["house"]  # the fixture


class Clock:
    """A clock that is set forward. Tokens and windows go by it; nothing sleeps by it."""

    def __init__(self) -> None:
        self.passed = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.passed


async def when_due(sender: Sender, clock: Clock, result: SendOutcome, send: Send) -> SendOutcome:
    """What comes of it when its wait is over."""
    assert result.waiting is not None
    assert result.waiting.send == send
    clock.passed += max(timedelta(0), result.waiting.due_at - clock())
    (again,) = await sender.again([(result.waiting, send)])
    return again


async def test_not_now_is_deferred_and_waits_without_holding_anybody_up(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("452 4.2.2 mailbox full")
    send = a_send()
    deferred, quick = await house.sender(chance=lambda: 0.0).send([send, to("quick")])
    (event,) = deferred.events
    assert isinstance(event, Deferred)
    assert (event.attempt, event.status) == (1, "4.2.2")
    assert deferred.waiting is not None
    assert (deferred.waiting.state, deferred.waiting.attempt) == ("deferred", 1)
    assert timedelta(seconds=59) < deferred.waiting.due_at - event.at <= timedelta(seconds=60)
    assert (deferred.delivery, deferred.unfinished, quick.waiting) == (None, False, None)
    assert house.server.recipients() == ["quick@example.net"]


async def test_the_next_attempt_delivers_it_and_ends_its_waiting(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("451 4.7.1 try again in 300 seconds")
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock)
    (first,) = await sender.send([send])
    second = await when_due(sender, clock, first, send)
    assert clock.passed >= timedelta(seconds=299)
    sent, delivered = second.events
    assert isinstance(sent, Sent)
    assert isinstance(delivered, Delivered)
    assert sent.attempt == 2
    assert second.waiting is not None
    assert (second.waiting.state, second.waiting.send) == ("settled", None)
    assert house.waits.get(send.delivery_id) is None


async def test_not_now_for_ever_is_a_soft_bounce_after_five_retries(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].extend(["450 4.2.1 too quickly"] * 9)
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock)
    (result,) = await sender.send([send])
    attempts = [result.events[0]]
    for _ in range(5):
        result = await when_due(sender, clock, result, send)
        attempts.append(result.events[-1])
    assert [type(event) for event in attempts] == [Deferred] * 5 + [Bounced]
    assert len({event.id for event in attempts}) == 6
    bounce = attempts[-1]
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.status) == ("soft", "4.2.1")
    assert result.waiting is not None
    assert result.waiting.state == "settled"
    assert house.server.transactions == 6
    assert timedelta(hours=10) < clock.passed < timedelta(hours=48)


@pytest.mark.parametrize(
    "reply", ["552 5.2.2 Mailbox full", "552 Requested mail action aborted", "550 5.7.1 user is over quota"]
)
async def test_a_full_mailbox_is_tried_again_whatever_code_the_server_says_it_with(house: House, reply: str) -> None:
    house.server.at_rcpt["ada@example.net"].extend([reply] * 9)
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock)
    (result,) = await sender.send([send])
    attempts = [result.events[0]]
    for _ in range(5):
        result = await when_due(sender, clock, result, send)
        attempts.append(result.events[-1])
    assert [type(event) for event in attempts] == [Deferred] * 5 + [Bounced]
    bounce = attempts[-1]
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.category) == ("soft", "mailbox-full")


async def test_an_emptied_mailbox_gets_it(house: House) -> None:
    house.server.at_data["ada@example.net"].append("552 5.2.2 over quota")
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock)
    (first,) = await sender.send([send])
    assert [type(event) for event in first.events] == [Deferred]
    second = await when_due(sender, clock, first, send)
    assert [type(event) for event in second.events] == [Sent, Delivered]


@pytest.mark.parametrize("reply", ["552 5.3.4 Message too big", "552 5.7.0 content rejected", "550 5.2.1 disabled"])
async def test_what_is_no_full_mailbox_stays_final(house: House, reply: str) -> None:
    house.server.at_rcpt["ada@example.net"].append(reply)
    (result,) = await house.sender().send([a_send()])
    assert [type(event) for event in result.events] == [Sent, Bounced]
    assert result.waiting is None


async def test_waits_that_the_server_tells_end_after_two_days(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].extend(["450 4.2.1 try again in 20 hours"] * 9)
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock, chance=lambda: 0.0)
    (result,) = await sender.send([send])
    for _ in range(2):
        result = await when_due(sender, clock, result, send)
    assert [type(event) for event in result.events] == [Sent, Bounced]
    assert house.server.transactions == 3


async def test_an_email_whose_campaign_is_paused_when_it_is_due_is_skipped(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("451 4.7.1 later")
    clock, send = Clock(), a_send()
    sender = house.sender(clock=clock)
    (first,) = await sender.send([send])
    house.pauses.put(Pause(campaign="spring", paused=True, at=NOW))
    second = await when_due(sender, clock, first, send)
    (skipped,) = second.events
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "paused"
    assert second.waiting is not None
    assert second.waiting.state == "settled"


async def test_the_same_request_again_while_it_waits_changes_nothing_and_another_is_a_duplicate(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("451 4.7.1 later")
    send = a_send()
    sender = house.sender()
    await sender.send([send])
    replay, duplicate = await sender.send([send, a_send()])
    assert (replay.events, replay.waiting) == ((), None)
    assert [getattr(event, "reason", "") for event in duplicate.events] == ["duplicate"]
    assert duplicate.waiting is None
    assert house.waits.get(send.delivery_id) is not None
    assert house.server.transactions == 1


async def test_a_wait_that_another_worker_has_ended_meanwhile_is_not_performed(house: House) -> None:
    house.server.at_rcpt["ada@example.net"].append("451 4.7.1 later")
    send = a_send()
    (first,) = await house.sender().send([send])
    assert first.waiting is not None
    one, other = house.sender(), house.sender()
    (sent,) = await one.again([(first.waiting, send)])
    (replay,) = await other.again([(first.waiting, send)])
    assert sent.delivery is not None
    assert replay.events == ()
    assert len(house.server.mails) == 1


@pytest.mark.parametrize("how", [HANG_UP, SILENCE])
async def test_a_server_that_falls_silent_before_it_has_the_email_has_said_not_now(house: House, how: str) -> None:
    house.server.at_rcpt["ada@example.net"].append(how)
    sender = house.sender()
    pool_of(sender)._timeout = 0.2
    (result,) = await sender.send([a_send()])
    assert [type(event) for event in result.events] == [Deferred]
    assert result.waiting is not None
    assert result.waiting.state == "deferred"


@pytest.mark.parametrize("how", [HANG_UP, SILENCE])
async def test_a_server_that_falls_silent_with_the_whole_email_leaves_it_unanswered(house: House, how: str) -> None:
    house.server.at_data["ada@example.net"].append(how)
    sender = house.sender()
    pool_of(sender)._verdict = 0.2
    (result,) = await sender.send([a_send()])
    (event,) = result.events
    assert isinstance(event, Unanswered)
    assert (event.attempt, event.message_id) == (1, house.begun[0].message_id)
    assert result.waiting is not None
    assert result.waiting.state == "unanswered"
    assert result.attempt is not None
    assert result.attempt.outcome == "unanswered"
    (again,) = await sender.send([a_send()])
    assert [getattr(one, "reason", "") for one in again.events] == ["duplicate"]
    assert house.server.transactions == 1


async def test_an_attempt_that_a_dead_worker_left_open_is_not_repeated(house: House) -> None:
    send = a_send()
    dying = house.sender()
    house.server.at_data["ada@example.net"].append(SILENCE)
    leaving = asyncio.create_task(dying.send([send]))
    await until(lambda: house.server.under_way)
    house.attempts.put(house.begun[0])  # as the topic brings it to the next worker
    (result,) = await house.sender().send([send])
    (event,) = result.events
    assert isinstance(event, Unanswered)
    assert event.message_id == house.begun[0].message_id
    assert house.server.transactions == 1
    leaving.cancel()
    await asyncio.wait([leaving])


async def test_what_an_operator_lets_go_out_once_more_goes_out(house: House) -> None:
    house.server.at_data["ada@example.net"].append(HANG_UP)
    send = a_send()
    (held,) = await house.sender().send([send])
    assert held.waiting is not None
    wait = {name: getattr(held.waiting, name) for name in Wait.__struct_fields__} | {"state": "again"}
    house.waits.put(Wait(**wait))
    (result,) = await house.sender().again([(Wait(**wait), send)])
    assert [type(event) for event in result.events] == [Sent, Delivered]
    assert result.waiting is not None
    assert result.waiting.state == "settled"


async def test_nothing_goes_out_before_its_attempt_is_written_down(house: House) -> None:
    written = asyncio.Event()

    async def begin(_: object) -> None:
        await written.wait()

    sending = asyncio.create_task(house.sender(begin=begin).send([a_send()]))
    await until(lambda: house.server.transactions)
    await asyncio.wait([sending], timeout=0.2)
    assert house.server.under_way == 0
    assert not house.server.mails
    written.set()
    (result,) = await sending
    assert result.delivery is not None


async def test_while_attempts_cannot_be_written_down_nothing_goes_out_and_nothing_is_lost(house: House) -> None:
    failures = [ConnectionError("Kafka is away")] * 3

    async def begin(_: object) -> None:
        if failures:
            assert not house.server.mails
            raise failures.pop()

    results = await house.sender(begin=begin).send([a_send(), to("bob")])
    assert all(result.delivery for result in results)
    assert Counter(house.server.recipients()) == {"ada@example.net": 1, "bob@example.net": 1}
