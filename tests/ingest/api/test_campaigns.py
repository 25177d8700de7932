"""Pausing and resuming a campaign by hand: what is answered, and what is on the topics then."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from schemas.events import AnyEvent, CampaignPaused, CampaignResumed, Pause
from schemas.settings import Settings
from schemas.topics import EVENTS, PAUSES
from tests.ingest.room import Room, records, running

CAMPAIGN = {"id": "spring", "name": "Spring launch"}


@pytest.fixture
async def spring(room: Room) -> Room:
    assert (await room.client.post("/v1/campaigns", json=CAMPAIGN)).status_code == 201
    return room


def pauses(settings: Settings) -> list[Pause]:
    return [msgspec.json.decode(record.value, type=Pause) for record in records(settings, PAUSES)]


def events(settings: Settings) -> list[AnyEvent]:
    found = [line for record in records(settings, EVENTS) for line in record.value.splitlines()]
    return [msgspec.json.decode(line, type=AnyEvent) for line in found]


async def told(room: Room, what: str, **options: object) -> httpx.Response:
    return await room.client.post(f"/v1/campaigns/spring/{what}", **options)  # type: ignore[arg-type]


async def test_a_pause_is_answered_when_state_and_event_are_written(spring: Room) -> None:
    answer = await told(spring, "pause")
    assert answer.status_code == 200
    assert (answer.json()["paused"], answer.json()["paused_reason"]) == (True, "operator")
    [pause] = pauses(spring.settings)
    [event] = events(spring.settings)
    assert (pause.campaign, pause.paused, pause.reason) == ("spring", True, "operator")
    assert isinstance(event, CampaignPaused)
    assert (event.campaign, event.reason, event.at) == ("spring", "operator", pause.at)
    assert (await spring.client.get("/v1/campaigns/spring")).json() == answer.json()


async def test_resuming_takes_it_back(spring: Room) -> None:
    await told(spring, "pause")
    answer = await told(spring, "resume")
    assert (answer.status_code, answer.json()["paused"]) == (200, False)
    assert [pause.paused for pause in pauses(spring.settings)] == [True, False]
    assert [type(event) for event in events(spring.settings)] == [CampaignPaused, CampaignResumed]


async def test_doing_it_again_changes_nothing(spring: Room) -> None:
    await told(spring, "resume")  # it runs
    assert (pauses(spring.settings), events(spring.settings)) == ([], [])
    first, again = await told(spring, "pause"), await told(spring, "pause")
    assert first.json() == again.json()
    assert (len(pauses(spring.settings)), len(events(spring.settings))) == (1, 1)


async def test_every_run_of_a_campaign_has_a_pause_of_its_own(spring: Room) -> None:
    for _ in range(2):
        await told(spring, "pause")
        await told(spring, "resume")
    assert len({event.id for event in events(spring.settings)}) == 4


async def test_a_repeat_with_the_same_key_does_not_resume_a_campaign_that_was_paused_since(spring: Room) -> None:
    await told(spring, "pause")
    key = {"Idempotency-Key": "resume-once"}
    await told(spring, "resume", headers=key)
    await told(spring, "pause")
    again = await told(spring, "resume", headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert pauses(spring.settings)[-1].paused


@pytest.mark.parametrize("what", ["pause", "resume"])
async def test_there_must_be_such_a_campaign(room: Room, what: str) -> None:
    assert (await told(room, what)).status_code == 404


@pytest.mark.parametrize("what", ["pause", "resume"])
async def test_it_takes_a_key_with_the_scope_campaigns(settings: Settings, what: str) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        assert (await told(room, what)).status_code == 401


async def test_declaring_again_does_not_resume(spring: Room) -> None:
    await told(spring, "pause")
    answer = await spring.client.post("/v1/campaigns", json={**CAMPAIGN, "check_reply": True})
    assert (answer.json()["check_reply"], answer.json()["paused"]) == (True, True)
