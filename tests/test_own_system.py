"""A platform that sends by itself, from end to end: ingest, judge, guard and store, on a real broker and ClickHouse."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.ingest.room import Room, running
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import until

THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0"


def an_email(lead: str) -> dict[str, Any]:
    return {
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": lead,
        "to": f"{lead}@example.com",
        "sender": "news@example.net",
        "html": "<p>The seeds are in</p>",
    }


def told(kind: str, lead: str, **more: str) -> dict[str, Any]:
    fields = {name: value for name, value in an_email(lead).items() if name != "html"}
    return fields | {"kind": kind, "at": datetime.now(UTC).isoformat(), **more}


async def instrumented(room: Room, lead: str) -> dict[str, Any]:
    answer = await room.client.post("/v1/instrument", json={"sends": [an_email(lead)]})
    found: dict[str, Any] = answer.json()
    return found


async def opens(room: Room, lead: str) -> None:
    [email] = (await instrumented(room, lead))["emails"]
    pixel = re.search(r"/o/[\w-]+\.gif", email["html"])
    assert pixel is not None
    answer = await room.client.get(pixel[0], headers={"User-Agent": THUNDERBIRD})
    assert answer.status_code == 200


async def tell(room: Room, *events: dict[str, Any]) -> None:
    answer = await room.client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 202, answer.text


def outcomes(stream: Stream) -> dict[str, tuple[bool, ...]]:
    columns = ("sent_at", "delivered_at", "first_open_at", "hard_bounced_at", "complained_at")
    asked = ", ".join(f"{column} IS NOT NULL" for column in columns)
    return {row[0]: tuple(map(bool, row[1:])) for row in stream.ask(f"SELECT lead, {asked} FROM v_outcomes")}


async def test_what_is_told_counts_and_has_its_consequences(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream:
        await asyncio.to_thread(stream.start_worker, "--stage", "judge", "--stage", "guard", "--stage", "store")
        async with running(stream.settings) as room:
            await room.until_ready()
            await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})
            # Nobody tells that this one was delivered: that says nothing of who opens it.
            await opens(room, "untold")
            some = [told("delivered", "told"), told("bounce", "dead", status="5.1.1"), told("complaint", "angry")]
            await tell(room, *some, told("delivered", "angry"))
            expected = {
                "untold": (False, False, True, False, False),
                "told": (True, True, False, False, False),
                "dead": (True, False, False, True, False),
                "angry": (True, True, False, False, True),
            }

            async def counted() -> bool:
                return await asyncio.to_thread(outcomes, stream) == expected

            await until(counted, what="the outcomes")
            for lead, reason in (("dead", "invalid"), ("angry", "complained")):

                async def skipped(lead: str = lead, reason: str = reason) -> bool:
                    return [one["reason"] for one in (await instrumented(room, lead))["skipped"]] == [reason]

                await until(skipped, what=f"{lead} to be {reason}")

            # The address is dead in every list.
            other = an_email("dead") | {"lead": "another-id", "step": 2}

            async def everywhere() -> bool:
                answer = await room.client.post("/v1/instrument", json={"sends": [other]})
                return [one["reason"] for one in answer.json()["skipped"]] == ["invalid"]

            await until(everywhere, what="the address to be dead")
            await tell(room, *some, told("delivered", "angry"))
            await asyncio.to_thread(stream.wait_until_drained)
            assert await asyncio.to_thread(outcomes, stream) == expected
