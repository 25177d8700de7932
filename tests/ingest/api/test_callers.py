"""Who may call `/v1` for what, and what the same request again does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from fastapi.responses import Response

from ingest.api.http.idempotency import Idempotency
from ingest.api.http.problems import Problem
from schemas.events import Send
from schemas.keys import new_key
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, SENDS
from tests.ingest.api.test_sends import CAMPAIGN, a_send, problem_of
from tests.ingest.room import Room, records, running

GIVEN = {name: new_key() for name in ("campaigns", "sends", "page", "both")}
KEYS = ",".join(f"{name}={'campaigns+sends' if name == 'both' else name}={kept}" for name, (_, kept) in GIVEN.items())


def bearer(name: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {GIVEN[name][0]}", **more}


@pytest.fixture
async def keyed(settings: Settings) -> AsyncIterator[Room]:
    async with running(settings.model_copy(update={"api_keys": KEYS})) as room:
        await room.until_ready()
        yield room


async def test_a_key_is_good_for_its_scopes_and_nothing_else(keyed: Room) -> None:
    client = keyed.client
    for name in ("sends", "page"):
        refused = await client.post("/v1/campaigns", json=CAMPAIGN, headers=bearer(name))
        assert (refused.status_code, refused.json()["reason"]) == (403, "scope")
        assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="campaigns"'
        problem_of(refused)
        assert (await client.get("/v1/campaigns/spring", headers=bearer(name))).status_code == 403
    assert records(keyed.settings, CAMPAIGNS) == []
    assert (await client.post("/v1/campaigns", json=CAMPAIGN, headers=bearer("campaigns"))).status_code == 201
    assert (await client.post("/v1/sends", json={"sends": [a_send()]}, headers=bearer("campaigns"))).status_code == 403
    assert (await client.post("/v1/sends", json={"sends": [a_send()]}, headers=bearer("sends"))).status_code == 202
    hashed = {"Authorization": f"Bearer {GIVEN['both'][1]}"}
    for header in ({}, {"Authorization": "Bearer guess"}, hashed):
        assert (await client.post("/v1/sends", json={"sends": [a_send()]}, headers=header)).status_code == 401


async def test_the_same_request_with_the_same_key_is_answered_as_before_and_done_once(keyed: Room) -> None:
    client = keyed.client
    await client.post("/v1/campaigns", json=CAMPAIGN, headers=bearer("both"))
    body = {"sends": [a_send(lead="one"), a_send(lead="two"), a_send(lead="")]}
    first = await client.post("/v1/sends", json=body, headers=bearer("both", **{"Idempotency-Key": "k-1"}))
    again = await client.post("/v1/sends", json=body, headers=bearer("both", **{"Idempotency-Key": "k-1"}))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert len(records(keyed.settings, SENDS)) == 2
    other = await client.post(
        "/v1/sends", json={"sends": [a_send(lead="three")]}, headers=bearer("both", **{"Idempotency-Key": "k-1"})
    )
    assert (other.status_code, problem_of(other)["reason"]) == (422, "idempotency-key-reused")
    # Another caller's key of the same words is another key.
    theirs = await client.post("/v1/sends", json=body, headers=bearer("sends", **{"Idempotency-Key": "k-1"}))
    assert (theirs.status_code, "idempotency-replayed" in theirs.headers) == (202, False)


async def test_a_process_that_does_not_remember_gives_the_same_request_ids(settings: Settings) -> None:
    body = {"sends": [a_send(lead=f"l{n}") for n in range(3)]}
    for _ in range(2):
        async with running(settings) as room:
            await room.until_ready()
            await room.client.post("/v1/campaigns", json=CAMPAIGN)
            sent = await room.client.post("/v1/sends", json=body, headers={"Idempotency-Key": "k"})
            assert sent.status_code == 202
            assert (await room.client.post("/v1/sends", json=body)).status_code == 202
    ids: dict[str, list[str]] = {}
    for record in records(settings, SENDS):
        send = msgspec.json.decode(record.value, type=Send)
        ids.setdefault(send.lead, []).append(send.request_id)
    for lead in ("l0", "l1", "l2"):
        assert len(ids[lead]) == 4
        assert len(set(ids[lead])) == 3  # with the key one, without it another each time


async def test_a_no_is_not_remembered(keyed: Room) -> None:
    headers = bearer("both", **{"Idempotency-Key": "k-2"})
    body = {"sends": [a_send()]}
    unknown = await keyed.client.post("/v1/sends", json=body, headers=headers)
    assert unknown.status_code == 422
    await keyed.client.post("/v1/campaigns", json=CAMPAIGN, headers=bearer("both"))
    assert (await keyed.client.post("/v1/sends", json=body, headers=headers)).status_code == 202


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe9"])
async def test_a_key_that_is_none_is_refused(keyed: Room, key: str) -> None:
    raw = [
        (name.encode(), value.encode("latin-1")) for name, value in bearer("both", **{"Idempotency-Key": key}).items()
    ]
    answer = await keyed.client.post("/v1/campaigns", json=CAMPAIGN, headers=raw)
    assert (answer.status_code, problem_of(answer)["reason"]) == (400, "idempotency-key")


def asked(key: str) -> Any:
    return SimpleNamespace(
        headers=httpx.Headers({"Idempotency-Key": key}),
        state=SimpleNamespace(caller="crm"),
        url=SimpleNamespace(path="/v1/sends"),
    )


async def test_while_the_first_is_worked_on_the_second_is_told_so_and_a_failure_frees_the_key() -> None:
    idempotency = Idempotency()
    go = asyncio.Event()

    async def slow() -> Response:
        await go.wait()
        raise RuntimeError("Kafka is away")

    async def quick() -> Response:
        return Response(b"done", 202)

    first = asyncio.ensure_future(idempotency.once(asked("k"), b"body", slow))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await idempotency.once(asked("k"), b"body", quick)
    assert refused.value.status == 409
    go.set()
    with pytest.raises(RuntimeError):
        await first
    assert (await idempotency.once(asked("k"), b"body", quick)).status_code == 202


async def test_what_is_remembered_is_bounded_in_number_bytes_and_time() -> None:
    now = 0.0
    idempotency = Idempotency(lambda: now)
    done = 0

    async def work(size: int = 10) -> Response:
        nonlocal done
        done += 1
        return Response(b"x" * size, 202)

    for n in range(10_050):
        await idempotency.once(asked(f"k{n}"), b"", work)
    assert len(idempotency._entries) == 10_000
    for n in range(50):
        await idempotency.once(asked(f"large{n}"), b"", lambda: work(1_000_000))
    assert idempotency._bytes <= 33_600_000 + 1_000_000
    before = done
    await idempotency.once(asked("large49"), b"", work)
    assert done == before
    now = 24 * 3600 + 1
    await idempotency.once(asked("large49"), b"", work)
    assert (done, len(idempotency._entries)) == (before + 1, 1)
    assert idempotency._bytes == 10
