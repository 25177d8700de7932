"""A key of idempotency is its caller's: the same words from another caller give neither the answer nor the effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ingest.api.http.idempotency import HEADER
from schemas.events import Send
from schemas.keys import new_key
from schemas.topics import SENDS
from tests.ingest.conftest import settings_in
from tests.ingest.room import Room, records, running
from tests.support.broker import Broker, create_topics

SCOPES = "campaigns+sends+webhooks"
CALLERS = {name: new_key() for name in ("one", "two")}
KEYS = ",".join(f"{name}={SCOPES}={kept}" for name, (_, kept) in CALLERS.items())
CAMPAIGN = {"id": "spring", "name": "Spring launch"}


def a_send(lead: str) -> dict[str, Any]:
    email = {"to": "ada@example.com", "sender": "news@example.net", "subject": "Seeds", "text": "Seeds are in."}
    return {"campaign": "spring", "step": 1, "variant": "A", "lead": lead, **email}


BODIES: dict[str, dict[str, Any]] = {
    "/v1/campaigns": CAMPAIGN,
    "/v1/campaigns/spring/pause": {},
    "/v1/campaigns/spring/resume": {},
    "/v1/sends": {"sends": [a_send(lead="one"), a_send(lead="two")]},
    "/v1/webhooks": {"url": "https://crm.example.com/hook", "kinds": ["reply"]},
}


@pytest.fixture
async def room(broker: Broker, tmp_path: Path) -> AsyncIterator[Room]:
    settings = settings_in(tmp_path, broker.bootstrap, api_keys=KEYS)
    create_topics(settings)
    async with running(settings) as room:
        await room.until_ready()
        await post(room, "one", "/v1/campaigns", CAMPAIGN, key="")
        yield room


async def post(room: Room, caller: str, path: str, body: dict[str, Any], key: str = "the-same") -> httpx.Response:
    headers = {"Authorization": f"Bearer {CALLERS[caller][0]}"} | ({HEADER: key} if key else {})
    return await room.client.post(path, json=body, headers=headers)


def replayed(answer: httpx.Response) -> bool:
    return "idempotency-replayed" in answer.headers


@pytest.mark.parametrize("path", BODIES)
async def test_the_same_key_of_another_caller_is_another_key(room: Room, path: str) -> None:
    first = await post(room, "one", path, BODIES[path])
    theirs = await post(room, "two", path, BODIES[path])
    again = await post(room, "one", path, BODIES[path])
    assert first.status_code < 300, first.text
    assert theirs.status_code < 300
    assert (replayed(first), replayed(theirs)) == (False, False)
    if replayed(again):
        assert again.content == first.content


@pytest.mark.parametrize("path", ["/v1/campaigns", "/v1/sends"])
async def test_nobody_learns_that_another_caller_used_a_key(room: Room, path: str) -> None:
    """Another body under a used key is refused to its caller alone: to others the key is new."""
    other = {"/v1/campaigns": {"id": "autumn", "name": "Autumn"}, "/v1/sends": {"sends": [a_send(lead="three")]}}[path]
    await post(room, "one", path, BODIES[path])
    assert (await post(room, "one", path, other)).status_code == 422
    theirs = await post(room, "two", path, other)
    assert theirs.status_code < 300
    assert not replayed(theirs)


async def test_the_sender_tells_two_callers_requests_apart(room: Room) -> None:
    """The id by which a send is known again is derived from the caller too: the second is refused as a duplicate
    email, and never taken for the first request come again."""
    await post(room, "one", "/v1/sends", BODIES["/v1/sends"])
    await post(room, "two", "/v1/sends", BODIES["/v1/sends"])
    sends = [msgspec.json.decode(record.value, type=Send) for record in records(room.settings, SENDS)]
    assert len(sends) == 4
    assert len({send.request_id for send in sends}) == 4


async def test_an_answer_is_not_given_to_who_may_not_ask(room: Room) -> None:
    await post(room, "one", "/v1/sends", BODIES["/v1/sends"])
    stranger = await room.client.post("/v1/sends", json=BODIES["/v1/sends"], headers={HEADER: "the-same"})
    guess = {"Authorization": f"Bearer {CALLERS['one'][1]}", HEADER: "the-same"}  # its hash, as the settings have it
    guessed = await room.client.post("/v1/sends", json=BODIES["/v1/sends"], headers=guess)
    assert (stranger.status_code, guessed.status_code) == (401, 401)
    assert "delivery_id" not in stranger.text + guessed.text
