"""The HTML of a variant: on its topic when it is answered, replaced by the next, and refused where it can't be kept."""

from __future__ import annotations

import msgspec
import pytest

from ingest.api.previews.preview_routes import MAX_PREVIEW_BYTES
from schemas.settings import Settings
from schemas.state.previews import Preview
from schemas.topics import PREVIEWS
from tests.ingest.room import Room, records, running

CAMPAIGN = {"id": "spring", "name": "Spring launch"}
VARIANT = "/v1/campaigns/spring/steps/1/variants/A/preview"


@pytest.fixture
async def spring(room: Room) -> Room:
    assert (await room.client.post("/v1/campaigns", json=CAMPAIGN)).status_code == 201
    return room


def previews(settings: Settings) -> list[Preview]:
    return [msgspec.json.decode(record.value, type=Preview) for record in records(settings, PREVIEWS)]


async def test_it_is_on_its_topic_when_it_is_answered(spring: Room) -> None:
    answer = await spring.client.put(VARIANT, json={"html": "<p>Grüße</p>"})
    assert answer.status_code == 200
    [kept] = previews(spring.settings)
    assert (kept.campaign, kept.step, kept.variant, kept.html) == ("spring", 1, "A", "<p>Grüße</p>")
    said = answer.json()
    assert msgspec.convert(said.pop("at"), type=type(kept.at), strict=False) == kept.at
    assert said == {"campaign": "spring", "step": 1, "variant": "A"}


async def test_the_next_has_the_same_key_and_nothing_takes_it_back(spring: Room) -> None:
    for html in ("<p>one</p>", "<p>two</p>", ""):
        assert (await spring.client.put(VARIANT, json={"html": html})).status_code == 200
    found = records(spring.settings, PREVIEWS)
    assert {record.key for record in found} == {b"spring\x1f1\x1fA"}
    assert [preview.html for preview in previews(spring.settings)] == ["<p>one</p>", "<p>two</p>", ""]


@pytest.mark.parametrize(("path", "variant"), [("", ""), ("a/b", "a/b"), ("a%2Fb", "a/b"), ("preview", "preview")])
async def test_a_variant_may_have_any_name_or_none(spring: Room, path: str, variant: str) -> None:
    answer = await spring.client.put(VARIANT.replace("/A/", f"/{path}/"), json={"html": "<p>Hello</p>"})
    assert (answer.status_code, answer.json()["variant"]) == (200, variant)


async def test_the_largest_is_kept_whole_however_json_writes_it(spring: Room) -> None:
    html = '"' * MAX_PREVIEW_BYTES
    assert (await spring.client.put(VARIANT, json={"html": html})).status_code == 200
    assert previews(spring.settings)[0].html == html


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        (VARIANT, {"html": "x" * (MAX_PREVIEW_BYTES + 1)}, 422, "html: 512001 bytes, at most 512000"),
        (VARIANT, {"html": "a\x00b"}, 422, "html: U+0000 at character 1"),
        (VARIANT, {"text": "a"}, 422, "text"),
        (VARIANT, {}, 422, "html"),
        (VARIANT.replace("/1/", "/256/"), {"html": "a"}, 422, "path.step: Input should be less than or equal to 255"),
        (VARIANT.replace("/A/", "/%1B/"), {"html": "a"}, 422, "variant: U+001B"),
        (VARIANT.replace("spring", "autumn"), {"html": "a"}, 404, "no campaign"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_can_not_be_kept_is_refused(spring: Room, path: str, body: object, status: int, says: str) -> None:
    answer = await spring.client.put(path, json=body)
    assert answer.status_code == status
    assert says in answer.text
    assert previews(spring.settings) == []


async def test_it_takes_a_key_with_the_scope_campaigns(settings: Settings) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        assert (await room.client.put(VARIANT, json={"html": "a"})).status_code == 401
