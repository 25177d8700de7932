"""Webhooks over the API: who may add one, what may be one, and what the stream reads of it then."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest

from schemas.keys import new_key
from schemas.settings import Settings
from schemas.state.endpoints import secret
from schemas.state.webhook_calls import Endpoint
from schemas.topics import WEBHOOKS
from tests.ingest.room import Room, put, records, running

CRM = {"url": "https://crm.example.com/in"}


def written(settings: Settings) -> list[Endpoint]:
    return [msgspec.json.decode(record.value, type=Endpoint) for record in records(settings, WEBHOOKS)]


async def add(room: Room, **asked: object) -> httpx.Response:
    return await room.client.post("/v1/webhooks", json={**CRM, **asked})


async def listed(room: Room) -> list[str]:
    answer = await room.client.get("/v1/webhooks")
    assert answer.status_code == 200
    return [one["id"] for one in answer.json()["webhooks"]]


async def test_one_that_is_added_is_on_the_topic_with_the_secret_of_its_answer(room: Room) -> None:
    answer = await add(room, kinds=["reply", "bounce", "reply"])
    assert answer.status_code == 201
    said = answer.json()
    [endpoint] = written(room.settings)
    assert (endpoint.id, endpoint.url, endpoint.kinds) == (said["id"], CRM["url"], ("bounce", "reply"))
    assert (endpoint.state, said["state"]) == ("enabled", "enabled")
    assert said["secret"] == secret(room.settings, endpoint.id)
    assert endpoint.wants("reply")
    assert not endpoint.wants("opened")


async def test_they_are_listed_the_oldest_first_and_without_secrets(room: Room) -> None:
    ids = [(await add(room, kinds=kinds)).json()["id"] for kinds in ([], ["reply"])]
    assert await listed(room) == ids
    assert "secret" not in (await room.client.get("/v1/webhooks")).text


async def test_one_that_the_command_added_is_listed_too(room: Room) -> None:
    answer = await add(room)
    [mine] = written(room.settings)
    other = msgspec.structs.replace(mine, id="8e03978e-40d5-43dd-bc93-6894a57f9324")
    put(room.settings, WEBHOOKS, other.id, other)
    assert sorted(await listed(room)) == sorted([answer.json()["id"], other.id])


async def test_one_that_is_removed_is_told_no_more(room: Room) -> None:
    kept, gone = [(await add(room, kinds=kinds)).json()["id"] for kinds in ([], ["reply"])]
    assert (await room.client.delete(f"/v1/webhooks/{gone}")).status_code == 204
    assert await listed(room) == [kept]
    last = written(room.settings)[-1]
    assert (last.id, last.state) == (gone, "removed")
    assert (await room.client.delete(f"/v1/webhooks/{gone}")).status_code == 404


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"url": "https://127.0.0.1/in"}, "address-private"),
        ({"url": "https://2130706433/in"}, "address-private"),
        ({"url": "https://[::1]/in"}, "address-private"),
        ({"url": "https://169.254.169.254/latest"}, "address-private"),
        ({"url": "http://crm.example.com/in"}, "url-invalid"),
        ({"url": "https://user@crm.example.com/in"}, "url-invalid"),
        ({"url": "https://crm.example.com/in\r\nX: y"}, "url-invalid"),
        ({"url": "https://[::1/in"}, "url-invalid"),
        ({"url": "ftp://crm.example.com"}, "url-invalid"),
        ({"kinds": ["reply", "no such kind"]}, "unknown-kind"),
    ],
)
async def test_what_can_be_none_is_refused_with_the_reason(room: Room, asked: dict[str, object], reason: str) -> None:
    answer = await add(room, **asked)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["reason"] == reason
    assert written(room.settings) == []


async def test_a_private_address_is_taken_where_that_is_allowed(settings: Settings) -> None:
    async with running(settings.model_copy(update={"webhooks_private": True})) as room:
        await room.until_ready()
        assert (await add(room, url="http://127.0.0.1:8080/in")).status_code == 201


async def test_adding_the_same_again_adds_no_second_one(room: Room) -> None:
    first, again = await asyncio.gather(add(room, kinds=["reply", "open"]), add(room, kinds=["open", "reply"]))
    assert sorted((first.status_code, again.status_code)) == [200, 201]
    assert first.json() == again.json()
    assert len(written(room.settings)) == 1
    assert (await add(room, kinds=["reply"])).status_code == 201, "other kinds are another one"


async def test_one_that_was_removed_may_be_added_again(room: Room) -> None:
    first = (await add(room)).json()["id"]
    await room.client.delete(f"/v1/webhooks/{first}")
    again = await add(room)
    assert again.status_code == 201
    assert await listed(room) == [again.json()["id"]]


async def test_it_takes_a_key_with_the_scope_webhooks(settings: Settings) -> None:
    (good, kept), (other, others) = new_key(), new_key()
    keys = f"crm=webhooks={kept},platform=campaigns+sends={others}"
    async with running(settings.model_copy(update={"api_keys": keys})) as room:
        await room.until_ready()
        for key, expected in (("", 401), (other, 403), (good, 200)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            assert (await room.client.get("/v1/webhooks", headers=headers)).status_code == expected
            asked = await room.client.delete("/v1/webhooks/none", headers=headers)
            assert asked.status_code == {200: 404}.get(expected, expected)


async def test_another_method_is_told_which_there_are(room: Room) -> None:
    answer = await room.client.put("/v1/webhooks", json=CRM)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


async def test_the_recipient_s_address_is_told_only_where_it_is_kept(settings: Settings) -> None:
    async with running(settings) as room:
        refused = await add(room, with_to=True)
        assert (refused.status_code, refused.json()["reason"]) == (422, "to-not-kept")
        assert "SENDLENS_WEBHOOKS_TO" in refused.json()["detail"]
    async with running(settings.model_copy(update={"webhooks_to": True})) as room:
        without, asking = (await add(room)).json(), (await add(room, with_to=True)).json()
        assert (without["with_to"], asking["with_to"]) == (False, True)
        assert without["id"] != asking["id"]
        assert [one.with_to for one in written(room.settings)] == [False, True]
