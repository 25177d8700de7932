"""`/v1`: what a platform may ask for, what it is told, and what is on the topics afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from schemas.events import Campaign, Send
from schemas.settings import Settings
from schemas.tokens import delivery_id
from schemas.topics import CAMPAIGNS, SENDS, text_partition
from tests.ingest.room import Room, put, records, running

JSON = {"Content-Type": "application/json"}
CAMPAIGN = {"id": "spring", "name": "Spring launch"}


def a_send(**changes: Any) -> dict[str, Any]:
    """A send that is fine but for `changes`; a change to None leaves the field out."""
    send = {
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
        "to": "ada@example.com",
        "sender": "grace@example.net",
        "subject": "A question",
        "html": "<p>Hello</p>",
    }
    return {key: value for key, value in {**send, **changes}.items() if value is not None}


@pytest.fixture
async def spring(room: Room) -> Room:
    """A room that knows the campaign `spring`."""
    assert (await room.client.post("/v1/campaigns", json=CAMPAIGN)).status_code == 201
    return room


def sends(settings: Settings) -> list[Send]:
    return [msgspec.json.decode(record.value, type=Send) for record in records(settings, SENDS)]


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    return problem


async def test_a_campaign_is_declared_once_and_may_be_declared_again(room: Room) -> None:
    first = await room.client.post("/v1/campaigns", json=CAMPAIGN)
    again = await room.client.post("/v1/campaigns", json=CAMPAIGN)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    [record] = records(room.settings, CAMPAIGNS)
    campaign = msgspec.json.decode(record.value, type=Campaign)
    assert (record.key, campaign.id, campaign.name, campaign.check_reply) == (
        b"spring",
        "spring",
        "Spring launch",
        False,
    )
    assert (await room.client.get("/v1/campaigns/spring")).json() == first.json()


async def test_an_id_cannot_be_given_to_a_second_campaign(spring: Room) -> None:
    answer = await spring.client.post("/v1/campaigns", json={**CAMPAIGN, "name": "Autumn"})
    assert answer.status_code == 409
    problem_of(answer)
    assert len(records(spring.settings, CAMPAIGNS)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"id": "a"}',
        b'{"id": "", "name": "a"}',
        b'{"id": "a\\r\\nb", "name": "a"}',
        b'{"id": "a", "name": "a\\u0000"}',
        b'{"id": "a", "name": "b", "extra": 1}',
        b'{"id": "spring/2026", "name": "a"}',
        b'{"id": "/", "name": "a"}',
        b'{"id": "..", "name": "a"}',
        b'{"id": "a", "name": "b", "pixel": "middle"}',
        '{"id": "ééééééééééééééééééééééééééééééééé", "name": "66 bytes"}'.encode(),
    ],
)
async def test_a_campaign_that_is_not_as_described_is_refused(room: Room, body: bytes) -> None:
    answer = await room.client.post("/v1/campaigns", content=body, headers=JSON)
    assert answer.status_code == 422
    problem_of(answer)
    assert records(room.settings, CAMPAIGNS) == []


@pytest.mark.parametrize("id", ["ümläut 🎉", "a%2Fb", "50 % off?", "a#b&c=d", "..."])
async def test_a_campaign_that_was_declared_is_found_on_every_path(room: Room, id: str) -> None:
    assert (await room.client.post("/v1/campaigns", json={"id": id, "name": "a"})).status_code == 201
    path = f"/v1/campaigns/{quote(id, safe='')}"
    assert (await room.client.get(path)).json()["id"] == id
    for action in ("pause", "resume"):
        assert (await room.client.post(f"{path}/{action}")).status_code == 200


async def test_a_send_whose_end_gmail_would_cut_off_is_warned_of(spring: Room) -> None:
    long = "<p>" + "word " * 25_000
    own = f'<a href="{{{{unsubscribe_url}}}}">leave</a>{long}'
    batch = [a_send(lead=f"l{n}", html=html) for n, html in enumerate(("<p>Hi", long, own))]
    body = (await spring.client.post("/v1/sends", json={"sends": batch})).json()
    assert [one.get("warnings") for one in body["deliveries"]] == [None, ["clipped"], None]


async def test_a_campaign_that_nobody_declared_is_not_found(room: Room) -> None:
    answer = await room.client.get("/v1/campaigns/none")
    assert answer.status_code == 404
    problem_of(answer)


async def test_sends_are_accepted_once_kafka_has_them_under_the_id_of_their_email(spring: Room) -> None:
    batch = [a_send(lead=f"lead-{n}", to=f"p{n}@example.com", headers={"X-Team": "blue"}) for n in range(50)]
    answer = await spring.client.post("/v1/sends", json={"sends": batch})

    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (50, [])
    assert [one["index"] for one in body["deliveries"]] == list(range(50))
    found = {send.lead: send for send in sends(spring.settings)}
    assert len(found) == 50
    for one in body["deliveries"]:
        send = found[f"lead-{one['index']}"]
        assert send.delivery_id == one["delivery_id"] == str(delivery_id("spring", 1, send.lead))
        assert (send.to, send.headers) == (f"p{one['index']}@example.com", {"X-Team": "blue"})
    assert len({send.request_id for send in found.values()}) == 50
    for record in records(spring.settings, SENDS):
        assert record.partition == text_partition(record.key.decode(), 4)
    assert await spring.counted("sendlens_sends_total", result="accepted") == 50


async def test_the_same_email_twice_in_a_batch_is_accepted_once_and_named(spring: Room) -> None:
    batch = [a_send(), a_send(variant="B", to="other@example.com"), a_send(step=2)]
    body = (await spring.client.post("/v1/sends", json={"sends": batch})).json()

    assert [one["index"] for one in body["deliveries"]] == [0, 2]
    assert [(one["index"], one["reason"]) for one in body["rejected"]] == [(1, "duplicate")]
    assert len(sends(spring.settings)) == 2


async def test_the_same_email_in_two_requests_has_one_delivery_id_and_two_request_ids(spring: Room) -> None:
    for _ in range(2):
        assert (await spring.client.post("/v1/sends", json={"sends": [a_send()]})).status_code == 202
    found = sends(spring.settings)
    assert len({send.delivery_id for send in found}) == 1
    assert len({send.request_id for send in found}) == 2


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"campaign": "autumn"}, "campaign-unknown"),
    ({"campaign": ""}, "malformed"),
    ({"campaign": "a\x1fb"}, "control-character"),
    ({"lead": None}, "malformed"),
    ({"lead": "é" * 33}, "id-too-long"),
    ({"lead": "a" * 65}, "malformed"),
    ({"variant": "é" * 33}, "id-too-long"),
    ({"variant": "\n"}, "control-character"),
    ({"step": 256}, "malformed"),
    ({"step": -1}, "malformed"),
    ({"step": "1"}, "malformed"),
    ({"subject": "Hi\r\nBcc: all@example.com"}, "control-character"),
    ({"subject": "\x00"}, "control-character"),
    ({"subject": "a\u2028b"}, "control-character"),
    ({"subject": "a" * 901}, "too-large"),
    ({"to": "ada@example.com\r\nDATA"}, "control-character"),
    ({"to": "ada"}, "address-invalid"),
    ({"to": "ada@localhost"}, "address-invalid"),
    ({"to": "ada@example.com, eve@example.com"}, "address-invalid"),
    ({"to": "Ada <ada@example.com> <eve@example.com>"}, "address-invalid"),
    ({"to": ".ada@example.com"}, "address-invalid"),
    ({"to": "a" * 65 + "@example.com"}, "address-invalid"),
    ({"to": "ada@" + "a." * 130 + "com"}, "address-invalid"),
    ({"to": "adä@example.com"}, "address-invalid"),
    ({"sender": "grace@"}, "address-invalid"),
    ({"sender": "grace@example.net\n"}, "control-character"),
    ({"html": "", "text": ""}, "empty"),
    ({"html": None}, "empty"),
    ({"html": "  \n"}, "empty"),
    ({"html": "x" * 2_000_001}, "too-large"),
    ({"text": "x" * 500_001}, "too-large"),
    ({"html": "x" + "\x01" * 1_400_000}, "too-large"),
    ({"headers": {"From": "eve@example.com"}}, "header-forbidden"),
    ({"headers": {"MESSAGE-ID": "<a@b>"}}, "header-forbidden"),
    ({"headers": {"List-Unsubscribe": "<mailto:a@example.com>"}}, "header-forbidden"),
    ({"headers": {"Return-Path": "<>"}}, "header-forbidden"),
    ({"headers": {"Content-Type": "text/plain"}}, "header-forbidden"),
    ({"headers": {"X-A": "b\r\nBcc: all@example.com"}}, "control-character"),
    ({"headers": {"X-A\r\nBcc": "all@example.com"}}, "control-character"),
    ({"headers": {"X A": "b"}}, "header-invalid"),
    ({"lists": ["a", "b", "c", "d", "e"]}, "lists-invalid"),
    ({"lists": ["a", "a"]}, "lists-invalid"),
    ({"lists": [" a"]}, "lists-invalid"),
    ({"lists": [""]}, "lists-invalid"),
    ({"lists": ["é" * 33]}, "id-too-long"),
    ({"lists": ["a\u202eb"]}, "control-character"),
    ({"headers": {"X:A": "b"}}, "header-invalid"),
    ({"headers": {"": "b"}}, "header-invalid"),
    ({"headers": {"X-A": "b" * 901}}, "too-large"),
    ({"headers": {f"X-{n}": "b" for n in range(31)}}, "header-invalid"),
    ({"headers": ["X-A"]}, "malformed"),
    ({"unknown": 1}, "malformed"),
]


async def test_each_wrong_send_is_rejected_by_its_reason_and_the_others_are_sent(spring: Room) -> None:
    batch = [a_send(**{"lead": f"w{n}", **changes}) for n, (changes, _) in enumerate(WRONG)]
    answer = await spring.client.post("/v1/sends", json={"sends": [*batch, a_send(), 17, None, "x"]})

    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 1
    reasons = [reason for _, reason in WRONG] + ["malformed"] * 3
    indexes = [*range(len(WRONG)), *range(len(WRONG) + 1, len(WRONG) + 4)]
    assert [(one["index"], one["reason"]) for one in body["rejected"]] == list(zip(indexes, reasons, strict=True))
    assert [send.lead for send in sends(spring.settings)] == ["lead-1"]
    assert await spring.counted("sendlens_sends_rejected_total", reason="header-forbidden") == 5
    assert await spring.counted("sendlens_sends_total", result="rejected") == len(reasons)


async def test_a_batch_of_which_nothing_was_accepted_is_unprocessable(spring: Room) -> None:
    answer = await spring.client.post("/v1/sends", json={"sends": [a_send(campaign="none")]})
    assert answer.status_code == 422
    assert answer.json()["rejected"][0]["reason"] == "campaign-unknown"
    assert sends(spring.settings) == []


async def test_a_campaign_declared_elsewhere_a_moment_ago_is_known(room: Room) -> None:
    await room.client.get("/v1/campaigns/none")  # this process has looked before
    put(room.settings, CAMPAIGNS, "spring", b'{"id":"spring","name":"S","created_at":"2026-01-01T00:00:00Z"}')
    assert (await room.client.post("/v1/sends", json={"sends": [a_send()]})).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xff\xff",
        b'{"sends": []}',
        b'{"sends": {}}',
        b'{"sends": [{}], "more": 1}',
        b'{"sends": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"sends": [' + b",".join([b"{}"] * 1001) + b"]}",
    ],
    ids=["empty", "cut off", "not UTF-8", "none", "no list", "unknown field", "nested", "1,001"],
)
async def test_a_body_that_is_no_batch_is_a_problem(spring: Room, body: bytes) -> None:
    answer = await spring.client.post("/v1/sends", content=body, headers=JSON)
    assert answer.status_code == 400
    problem_of(answer)


async def test_text_that_is_not_unicode_is_rejected(spring: Room) -> None:
    raw = msgspec.json.encode({"sends": [a_send(subject="MARK")]})
    for bad in (b"\\ud800", b"\xff\xfe"):
        answer = await spring.client.post("/v1/sends", content=raw.replace(b"MARK", bad), headers=JSON)
        assert answer.status_code in (400, 422)
    assert sends(spring.settings) == []


async def test_a_thousand_sends_and_two_megabytes_of_html_fit(spring: Room) -> None:
    many = [a_send(lead=f"m{n}") for n in range(1000)]
    large = a_send(lead="large", html="<p>" + 'a"' * 999_990)
    for batch in (many, [large]):
        answer = await spring.client.post("/v1/sends", json={"sends": batch})
        assert (answer.status_code, answer.json()["accepted"]) == (202, len(batch))
    found = {send.lead: send for send in sends(spring.settings)}
    assert len(found) == 1001
    assert found["large"].html == large["html"]


async def test_a_body_above_the_limit_is_refused_before_it_is_read(spring: Room) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000

    sized = await spring.client.post("/v1/sends", content=b"x", headers={**JSON, "content-length": "25000001"})
    chunked = await spring.client.post("/v1/sends", content=endless(), headers=JSON)
    assert (sized.status_code, chunked.status_code) == (413, 413)
    problem_of(chunked)


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer \xff"}],
    ids=["none", "wrong", "another scheme", "not ASCII"],
)
async def test_without_the_key_nobody_gets_in(settings: Settings, header: dict[str, str]) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        await room.until_ready()
        raw = [(name.encode(), value.encode("latin-1")) for name, value in header.items()]
        for path, body in (("/v1/campaigns", CAMPAIGN), ("/v1/sends", {"sends": [a_send()]})):
            answer = await room.client.post(path, json=body, headers=raw)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            problem_of(answer)
        good = await room.client.post(
            "/v1/campaigns", json=CAMPAIGN, headers={"Authorization": "Bearer the-api-key-of-this-test"}
        )
        assert good.status_code == 201
    assert len(records(settings, CAMPAIGNS)) == 1


async def test_hits_are_answered_while_a_large_batch_is_taken(spring: Room) -> None:
    """The loop is shared: a batch of 1,000 may not hold a pixel up until it is through."""
    batch = asyncio.ensure_future(
        spring.client.post("/v1/sends", json={"sends": [a_send(lead=f"b{n}", text="x" * 10_000) for n in range(1000)]})
    )
    served = 0
    while not batch.done():
        assert (await spring.client.get("/o/none.gif")).status_code == 200
        served += 1
        await asyncio.sleep(0)  # a refused token is answered without waiting for anything
    assert (await batch).status_code == 202
    assert served > 20


async def test_a_send_whose_sender_no_account_has_is_refused_at_the_door(settings: Settings) -> None:
    path = settings.data_dir / "senders.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[[account]]\naddress = "grace@example.com"\n[account.smtp]\nhost = "127.0.0.1"\ntls = "none"\n')
    async with running(settings.model_copy(update={"senders": path})) as room:
        await room.until_ready()
        assert (await room.client.post("/v1/campaigns", json=CAMPAIGN)).status_code == 201
        answer = await room.client.post("/v1/sends", json={"sends": [a_send(sender="Eve <eve@example.com>")]})
        assert answer.status_code == 422
        assert [one["reason"] for one in answer.json()["rejected"]] == ["no-account"]
        batch = [a_send(sender="Grace <GRACE@example.com>"), a_send(lead="l", sender="eve@example.com")]
        body = (await room.client.post("/v1/sends", json={"sends": batch})).json()
        assert ([one["index"] for one in body["deliveries"]], [one["index"] for one in body["rejected"]]) == ([0], [1])
    assert [send.sender for send in sends(settings)] == ["Grace <GRACE@example.com>"]
