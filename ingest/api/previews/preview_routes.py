"""`PUT /v1/campaigns/{id}/steps/{step}/variants/{variant}/preview`: the email that the click map is drawn on.

Answered when Kafka has the record.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from msgspec import Meta, Struct

from ingest.api.campaigns import FindCampaign
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.requests import decode
from schemas.errors import Reject
from schemas.events import Step, Time
from schemas.settings import Settings
from schemas.state.previews import Preview
from schemas.text import first_steering
from schemas.tokens import MAX_TEXT_BYTES
from schemas.topics import PREVIEWS
from stream.publisher import Publisher

log = structlog.get_logger()

MAX_PREVIEW_BYTES = 512_000  # five times what Gmail shows of an email
# JSON may write a character of three bytes as six, and what is larger is refused before it is read.
_BODY_BYTES = 2 * MAX_PREVIEW_BYTES + 64 * 1024
# In JSON such a character takes six bytes, and no mail client shows one.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")


class PreviewRequest(Struct, forbid_unknown_fields=True):
    """The HTML of a variant, with its links as the sends have them and what is personal left out."""

    html: Annotated[
        str,
        Meta(
            description=f"At most {MAX_PREVIEW_BYTES // 1000} kB. The template, or an email to nobody: the page shows "
            "it to whoever may look. Empty: take it back.",
            examples=['<p>Hello <a href="https://example.com/spring">Spring</a></p>'],
        ),
    ]


class PreviewAnswer(Struct, frozen=True, kw_only=True):
    """Which variant's HTML stands now, and since when."""

    campaign: str
    step: Step
    variant: str
    at: Time


_decode = msgspec.json.Decoder(PreviewRequest).decode


def preview_routes(settings: Settings, publisher: Publisher, known: FindCampaign) -> APIRouter:
    """The router of the variants' HTML."""
    router = APIRouter(prefix="/campaigns", dependencies=[Depends(caller_of(settings, "campaigns"))])

    # A path, because a variant may have no name, or one with a slash.
    @router.put(
        "/{id}/steps/{step}/variants/{variant:path}/preview",
        summary="Declare a variant's HTML for the click map",
        max_body_size=_BODY_BYTES,
        openapi_extra=openapi.body(PreviewRequest),
        responses={
            200: {"description": "It stands so now.", **openapi.content(PreviewAnswer)},
            **described(404, "There is no campaign of this id."),
            **described(422, "The body is not as described, or the step or variant can't be one."),
        },
    )
    async def declare_preview(
        id: Annotated[str, Path(examples=["spring-launch"])],
        step: Annotated[int, Path(ge=0, le=255, examples=[1])],
        variant: Annotated[str, Path(examples=["A"])],
        request: Request,
    ) -> Response:
        """The page draws on it who clicked which link of the variant. No email is made of it. The later one replaces
        the earlier."""
        try:
            asked = decode(_decode, await request.body())
            _check(asked, variant)
        except Reject as error:
            raise Problem(422, str(error), reason=error.reason) from None
        if await known(id) is None:
            raise Problem(404, "There is no campaign of this id.")
        preview = Preview(campaign=id, step=step, variant=variant, html=asked.html, at=datetime.now(UTC))
        within = settings.answer_within_ms / 1000
        await publisher.publish(PREVIEWS, preview.key, msgspec.json.encode(preview), within)
        log.info("preview declared", campaign=id, step=step, variant=variant, taken_back=not asked.html)
        return openapi.answer(200, PreviewAnswer(campaign=id, step=step, variant=variant, at=preview.at))

    return router


def _check(asked: PreviewRequest, variant: str) -> None:
    """Raise Reject unless the HTML and the variant's name can be kept and shown."""
    if steering := first_steering(variant):
        raise Reject("control-character", f"variant: {steering}")
    if len(variant.encode()) > MAX_TEXT_BYTES:
        raise Reject("id-invalid", f"variant: at most {MAX_TEXT_BYTES} bytes of UTF-8")
    if (size := len(asked.html.encode())) > MAX_PREVIEW_BYTES:
        raise Reject("too-large", f"html: {size} bytes, at most {MAX_PREVIEW_BYTES}; leave embedded images out")
    if control := _CONTROL.search(asked.html):
        raise Reject("control-character", f"html: U+{ord(control[0]):04X} at character {control.start()}")
