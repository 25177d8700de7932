"""`/v1/sends` with an AMP part and images: what is taken whole, and what is refused with what to do."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import msgspec
import pytest

from schemas.events import Send
from schemas.state.images import Image
from schemas.topics import SENDS
from tests.ingest.api.test_sends import a_send, spring
from tests.ingest.room import Room, records

__all__ = ["spring"]  # the fixture

_STARTS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\n\x00\x00\x00WEBPVP8 ",
}


def an_image(content_id: str = "logo", media_type: str = "image/png", size: int = 0, **changes: Any) -> dict[str, Any]:
    content = _STARTS.get(media_type, b"").ljust(size, b"\n")
    fields = {"content_id": content_id, "media_type": media_type, "content": base64.b64encode(content).decode()}
    return fields | changes


def showing(*ids: str) -> str:
    return "<p>" + "".join(f'<img src="cid:{id_}">' for id_ in ids) + "</p>"


async def posted(room: Room, *changes: dict[str, Any]) -> httpx.Response:
    batch = [a_send(**{"lead": f"lead-{n}", **each}) for n, each in enumerate(changes)]
    return await room.client.post("/v1/sends", json={"sends": batch})


def taken(room: Room) -> list[Send]:
    return [msgspec.json.decode(record.value, type=Send) for record in records(room.settings, SENDS)]


async def test_an_amp_part_and_images_are_on_the_topic_as_they_were_given(spring: Room) -> None:
    amp = "<!doctype html>\r\n<html ⚡4email>\n"
    images = [an_image(f"i{n}@example.com", media_type) for n, media_type in enumerate(_STARTS)]
    html = showing(*(image["content_id"] for image in images))
    answer = await posted(spring, {"html": html, "amp": amp, "images": images})
    assert answer.status_code == 202, answer.text
    (send,) = taken(spring)
    assert (send.html, send.amp) == (html, amp)
    assert send.images == [
        Image(content_id=f"i{n}@example.com", media_type=media_type, content=start)
        for n, (media_type, start) in enumerate(_STARTS.items())
    ]


@pytest.mark.parametrize(
    "html",
    [
        "<img src=cid:the-logo@example.com>",
        "<img src='CID:The-Logo%40example.com'>",
        '<img src="cid&#58;the-logo&commat;example.com">',
        '<table background="cid:the-logo@example.com"><td style="background:url(\'cid:the-logo@example.com\')">',
    ],
)
async def test_html_may_show_an_image_in_any_spelling(spring: Room, html: str) -> None:
    answer = await posted(spring, {"html": html, "images": [an_image("the-logo@example.com")]})
    assert answer.status_code == 202, answer.text


_SHOWN = {"html": showing("logo")}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"html": None, "text": "Hello", "amp": "<html amp4email>"}, "html-missing", "amp and images need html"),
    ({"html": " ", "text": "Hello", "images": [an_image()]}, "html-missing", "amp and images need html"),
    ({"amp": "é" * 100_001}, "too-large", "amp: at most 200000 bytes"),
    ({"images": [an_image()]}, "image-invalid", "images[0]: no cid:logo in the html"),
    ({**_SHOWN, "images": [an_image(), an_image("Logo")]}, "image-invalid", "images[1].content_id: another"),
    *(
        ({**_SHOWN, "images": [an_image(bad)]}, "image-invalid", "images[0].content_id: want letters")
        for bad in ("", "<logo>", "lo go", "a>\r\nX: y", "lögo", "a@b@c", ".a", "a..b", "a" * 101, "a\n", "a%40b")
    ),
    (
        {**_SHOWN, "images": [an_image(media_type="image/svg+xml")]},
        "image-invalid",
        "media_type: want one of image/png",
    ),
    ({**_SHOWN, "images": [an_image(media_type="image/jpg")]}, "image-invalid", "media_type: want one of image/png"),
    ({**_SHOWN, "images": [an_image(media_type="image/png\r\nX: y")]}, "image-invalid", "media_type: want one of"),
    ({**_SHOWN, "images": [an_image(content="PGh0bWw+")]}, "image-invalid", "its bytes are no image/png"),
    ({**_SHOWN, "images": [an_image(content="")]}, "image-invalid", "its bytes are no image/png"),
    *(
        ({**_SHOWN, "images": [an_image(content=bad)]}, "malformed", "want standard base64 in one line")
        for bad in ("data:image/png;base64,iVBORw0KGgo=", "iVBORw0K\nGgo=", "iVBORw0KGgo", "!!!!", "é")
    ),
    ({**_SHOWN, "images": [an_image(name="logo.png")]}, "malformed", "unknown field `name`"),
    ({**_SHOWN, "images": [an_image()] * 21}, "image-invalid", "images: at most 20"),
    (
        {"html": showing("a", "b"), "images": [an_image("a", size=1_000_000), an_image("b", size=1_000_001)]},
        "too-large",
        "images: 2000001 bytes together, at most 2000000; make them smaller, or put them on a web server",
    ),
    (
        {"html": showing("logo") + '"' * 1_900_000, "images": [an_image(size=2_000_000)]},
        "too-large",
        "bytes of JSON; make html and images smaller",
    ),
]


@pytest.mark.parametrize(("changes", "reason", "detail"), WRONG)
async def test_what_cannot_be_shown_is_refused_with_what_to_do(
    spring: Room, changes: dict[str, Any], reason: str, detail: str
) -> None:
    answer = await posted(spring, changes, {})
    assert answer.status_code == 202
    ((why),) = answer.json()["rejected"]
    assert (why["index"], why["reason"]) == (0, reason)
    assert detail in why["detail"]
    assert [send.lead for send in taken(spring)] == ["lead-1"]
    assert await spring.counted("sendlens_sends_rejected_total", reason=reason) == 1


async def test_the_largest_images_and_html_fit_the_topic_together(spring: Room) -> None:
    html = showing("logo").ljust(2_000_000, "a")
    answer = await posted(spring, {"html": html, "images": [an_image(size=2_000_000)]})
    assert answer.status_code == 202, answer.text
    (send,) = taken(spring)
    assert (len(send.html), len(send.images[0].content)) == (2_000_000, 2_000_000)


async def test_twenty_images_are_taken(spring: Room) -> None:
    ids = [f"n{number}" for number in range(20)]
    answer = await posted(spring, {"html": showing(*ids), "images": [an_image(id_) for id_ in ids]})
    assert answer.status_code == 202, answer.text
