"""Workers that share a data folder log in with one access token."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from schemas.events import Campaign, Send
from schemas.tokens import delivery_id
from schemas.topics import CAMPAIGNS, SENDS, text_partition
from tests.oauth2.granted import ANNA
from tests.oauth2.granted_account import MailServer, written
from tests.support.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import until

EMAILS = 40
NOW = datetime.now(UTC)


def write_sends(stream: Stream) -> None:
    stream.write(CAMPAIGNS, msgspec.json.encode(Campaign(id="spring", name="Spring", created_at=NOW)))
    for lead in (f"lead-{number}" for number in range(EMAILS)):
        send = Send(
            request_id=str(uuid4()), delivery_id=str(delivery_id("spring", 1, lead)), campaign="spring", step=1,
            variant="A", lead=lead, to=f"{lead}@example.net", sender=ANNA, subject="Seeds", text="They are in.",
            requested_at=NOW,
        )  # fmt: skip
        stream.write(SENDS, msgspec.json.encode(send), partition=text_partition(lead, stream.settings.partitions))


async def test_two_workers_send_with_one_token(tmp_path: Path, broker: Broker) -> None:
    with AuthorizationServer(rotates=True) as tokens:
        server = MailServer(options={"auth_require_tls": False, "auth_required": True}, seconds_per_mail=0.05)
        server.tokens = tokens
        async with server:
            written(tmp_path, tokens, smtp=server.port)
            environment = {"T_ID": CLIENT_ID, "T_SECRET": CLIENT_SECRET, "T_REFRESH": tokens.consent(ANNA)}
            with running_stream(tmp_path, broker, senders=tmp_path / "senders.toml") as stream:
                for _ in range(2):
                    await asyncio.to_thread(stream.start_worker, "--stage", "sender", environment=environment)
                await asyncio.to_thread(write_sends, stream)
                async with asyncio.timeout(120):
                    await until(lambda: len(server.recipients()) >= EMAILS, 120)
                said = "".join(worker.output() for worker in stream.workers)
            assert Counter(Counter(server.recipients()).values()) == {1: EMAILS}
            assert server.connections > 1
            assert len(tokens.requests) == 1
            assert environment["T_REFRESH"] not in said
            assert (tmp_path / "oauth2" / "T_REFRESH.json").stat().st_mode & 0o777 == 0o600
