"""A campaign that bounces too much stops by itself: sender, guard, store and a mail server, all real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from schemas.events import Send
from schemas.topics import SENDS, text_partition
from tests.agents.guard.guarded import Watched, watching
from tests.agents.mails import a_send
from tests.agents.transport.smtp_server import Server
from tests.support.broker import Broker
from tests.support.stream import running_stream

EMAILS = 400
BAD = range(30, 400, 5)  # every fifth, once the campaign runs
AT_A_TIME = 0.05  # seconds the mail server takes for an email, on each of four connections
MOST_AFTER = 3.0  # seconds; on an idle machine it is well under one


def ask_for(watched: Watched, campaign: str) -> None:
    by_partition: dict[int, list[bytes]] = {}
    for number in range(EMAILS):
        lead = f"lead-{number}"
        send: Send = a_send(campaign=campaign, lead=lead, to=f"{lead}@example.net", sender="news@example.com")
        partition = text_partition(lead, watched.stream.settings.partitions)
        by_partition.setdefault(partition, []).append(msgspec.json.encode(send))
    for partition, values in by_partition.items():
        watched.stream.write(SENDS, *values, partition=partition)


async def test_the_sender_stops_within_a_moment_of_the_pause(tmp_path: Path, broker: Broker) -> None:
    async with Server(seconds_per_mail=AT_A_TIME) as server:
        for number in BAD:
            server.at_rcpt[f"lead-{number}@example.net"].append("550 5.1.1 no such user here")
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream, watching(stream) as watched:
            await asyncio.to_thread(watched.declare, "stopping")
            await asyncio.to_thread(ask_for, watched, "stopping")
            await asyncio.to_thread(stream.start_worker, "--stage", "sender", "--stage", "guard", "--stage", "store")
            await asyncio.to_thread(watched.wait_for_pause, "stopping", 60)
            await asyncio.to_thread(stream.wait_until_drained)
            pause = watched.pauses.get("stopping")
            assert pause is not None
            after = max(mail.answered_at for mail in server.mails) - pause.at
            print(f"the last email left {1000 * after.total_seconds():.0f} ms after the pause")
            assert after.total_seconds() < MOST_AFTER
            (counts,) = stream.ask(
                "SELECT countIf(sent_at IS NOT NULL), countIf(hard_bounced_at IS NOT NULL), count() FROM v_outcomes"
            )
            sent, hard, known = counts
            assert sent < EMAILS == known  # the others were skipped, and say so
            assert stream.ask("SELECT DISTINCT reason FROM events WHERE kind = 'skipped'") == [("paused",)]
            (event,) = await asyncio.to_thread(watched.paused_events, "stopping")
            assert event.hard_bounced > 0.05 * event.sent
            assert (event.sent <= sent, event.hard_bounced <= hard) == (True, True)
