"""Workers that die with emails at the mail server, and emails that outlive workers: each goes out once, or an operator
is asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.sender.unanswered_emails import UnansweredEmails
from commands.backup.refill import refill
from schemas.events import AnyEvent
from schemas.state.attempts import Waiting
from schemas.tokens import delivery_id
from schemas.topics import ATTEMPTS, EVENTS, RETRIES
from stream.topic_admin import create_topics
from tests.agents.sender.test_handover import write_sends
from tests.agents.transport.smtp_server import Server
from tests.commands.test_command import sendlens, settings_of
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import until, wait_until

_decode = msgspec.json.Decoder(AnyEvent).decode


@dataclass
class Fatal(Server):
    """Kills the worker when it has taken an email whole, right before its 250."""

    victim: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = await super().handle_DATA(server, session, envelope)
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0
        return reply


def kinds(stream: Stream) -> Counter[tuple[str, str]]:
    """How many different events of each kind of each lead there are."""
    events = [_decode(line) for value in stream.read(EVENTS) for line in value.splitlines()]
    different = {event.id: (type(event).__struct_config__.tag, getattr(event, "lead", "")) for event in events}
    return Counter((str(kind), lead) for kind, lead in different.values())


def states(stream: Stream) -> dict[str, str]:
    """Of each delivery that ever waited, how it waits now."""
    records = [msgspec.json.decode(value, type=Waiting) for value in stream.read(RETRIES)]
    return {record.delivery_id: record.state for record in records}


async def look(holds: Callable[[], bool]) -> None:
    """Wait for what a topic or a table says; the mail server of this loop goes on."""
    await asyncio.to_thread(wait_until, holds, 90, every=0.2)


async def test_an_email_whose_worker_died_before_the_answer_is_held_for_an_operator(
    tmp_path: Path, broker: Broker
) -> None:
    """kill -9 between the server's 250 and our record of it: nothing goes out twice by itself."""
    async with Fatal(seconds_per_mail=0.02) as server:
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            worker = await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            server.victim = worker.popen.pid
            await asyncio.to_thread(write_sends, stream, 12)
            await until(lambda: worker.popen.poll() is not None)
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await look(lambda: len({lead for kind, lead in kinds(stream) if kind in ("delivered", "unanswered")}) == 12)
            found = await asyncio.to_thread(kinds, stream)
            assert max(Counter(server.recipients()).values()) == 1
            held = {lead for kind, lead in found if kind == "unanswered"}
            assert 1 <= len(held) <= stream.settings.smtp_connections
            assert held.isdisjoint({lead for kind, lead in found if kind == "sent"})

            told = await asyncio.to_thread(sendlens, "unanswered", "list", **settings_of(stream))
            assert told.returncode == 0, told.stderr
            lines = told.stdout.splitlines()
            assert len(lines) == len(held)
            assert all(any(f"lead {lead}," in line for line in lines) for lead in held)
            first, *others = [line.split()[0] for line in lines]
            taken = len(server.mails)
            done = await asyncio.to_thread(sendlens, "unanswered", "settle", first, "--sent", **settings_of(stream))
            assert done.stdout == f"{first}: counted as sent\n", done.stderr
            if others:
                done = await asyncio.to_thread(
                    sendlens, "unanswered", "settle", *others, "--again", **settings_of(stream)
                )
                assert done.returncode == 0, done.stderr
            await look(lambda: set(states(stream).values()) == {"settled"})
            found = await asyncio.to_thread(kinds, stream)
            for kind in ("sent", "delivered"):
                assert sum(count for (one, _), count in found.items() if one == kind) == 12
            assert len(server.mails) == taken + len(others)
            none = await asyncio.to_thread(sendlens, "unanswered", "settle", first, "--again", **settings_of(stream))
            assert none.returncode == 1
            assert "waits for no decision" in none.stderr


async def test_an_email_that_waits_outlives_its_worker(tmp_path: Path, broker: Broker) -> None:
    async with Server() as server:
        for number in range(8):
            server.at_rcpt[f"lead-{number}@example.net"].append("451 4.7.1 greylisted, try again in 4 seconds")
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            worker = await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await asyncio.to_thread(write_sends, stream, 10)
            await look(lambda: len(states(stream)) >= 8)
            worker.popen.kill()
            await asyncio.to_thread(worker.popen.wait)
            for _ in range(2):  # they share the partitions
                await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await look(lambda: set(states(stream).values()) == {"settled"})
            assert Counter(server.recipients()) == Counter(f"lead-{n}@example.net" for n in range(10))
            found = await asyncio.to_thread(kinds, stream)
            assert sum(count for (kind, _), count in found.items() if kind == "deferred") == 8


async def test_what_waits_and_what_is_open_is_known_again_when_the_broker_was_lost(
    tmp_path: Path, broker: Broker
) -> None:
    async with Server() as server:
        server.at_rcpt["lead-0@example.net"].append("451 4.7.1 greylisted, try again in 6 seconds")
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            worker = await asyncio.to_thread(stream.start_worker)
            await asyncio.to_thread(write_sends, stream, 3)
            await look(lambda: stream.ask("SELECT count() FROM retries FINAL WHERE state = 'deferred'") == [(1,)])
            # What ClickHouse does not have yet is lost with the broker.
            await look(lambda: stream.ask("SELECT count() FROM attempts FINAL WHERE outcome != ''") == [(3,)])
            worker.popen.kill()
            await asyncio.to_thread(worker.popen.wait)
            stream.settings = stream.settings.model_copy(update={"topic_prefix": stream.settings.topic_prefix + "n-"})
            create_topics(stream.settings)
            with stream.client() as client:
                assert refill(stream.settings, client)["retries"] == 1
            assert len(await asyncio.to_thread(stream.read, ATTEMPTS)) == 3
            await asyncio.to_thread(stream.start_worker)
            await until(lambda: len(server.mails) >= 3)
            await look(lambda: stream.ask("SELECT state, send FROM retries FINAL") == [("settled", "")])
            stream.wait_until_drained()
            assert Counter(Counter(server.recipients()).values()) == {1: 3}
            assert stream.ask("SELECT count() FROM v_outcomes WHERE sent_at IS NOT NULL") == [(3,)]
            assert stream.ask("SELECT count() FROM attempts FINAL WHERE outcome = ''") == [(0,)]


async def test_an_attempt_that_the_topic_has_forgotten_is_still_not_repeated(tmp_path: Path, broker: Broker) -> None:
    async with Server() as server:
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            id_ = str(delivery_id("spring", 1, "lead-0"))
            columns = "delivery_id, request_id, attempt, at, sender, message_id"
            values = f"'{id_}', '{id_}', 1, now() - INTERVAL 3 DAY, 'news@example.com', 'm@example.com'"
            with stream.client() as client:
                client.command(f"INSERT INTO attempts ({columns}) VALUES ({values})")  # our own words
            await asyncio.to_thread(write_sends, stream, 2)
            worker = await asyncio.to_thread(stream.start_worker, "--stage", "sender", "--drain")
            assert await asyncio.to_thread(worker.stop, 60) == 0
            assert server.recipients() == ["lead-1@example.net"]
            assert (await asyncio.to_thread(kinds, stream))["unanswered", "lead-0"] == 1
            assert (await asyncio.to_thread(states, stream))[id_] == "unanswered"


async def test_an_account_set_right_lets_its_dead_letters_go_out(tmp_path: Path, broker: Broker) -> None:
    """No account sends as that address: the request is set aside whole, with what to do."""
    async with Server() as server:
        file = tmp_path / "senders.toml"
        some: Any = '[[account]]\naddress = "{}"\n[account.smtp]\nhost = "127.0.0.1"\nport = {}\ntls = "none"\n'.format
        file.write_text(some("other@example.com", server.port))
        with running_stream(tmp_path, broker, smtp_port=server.port, senders=file) as stream:
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await asyncio.to_thread(write_sends, stream, 2)
            await until(lambda: len(stream.dead()) == 2)
            assert {letter.reason for letter in stream.dead()} == {"no-account"}
            assert "news@example.com" in stream.dead()[0].detail
            assert server.mails == []


def test_nothing_waits_for_a_decision_where_nothing_was_sent(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream, UnansweredEmails(stream.settings) as unanswered:
        assert unanswered.list() == []


@pytest.mark.parametrize("words", [("settle", "--sent"), ("settle", "x", "--sent", "--again"), ("settle", "x")])
def test_a_decision_that_says_too_little_is_refused(words: tuple[str, ...]) -> None:
    done = sendlens("unanswered", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("sendlens: say")
