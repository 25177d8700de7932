"""The images that a send brings with it: their shape, and the check of them. No I/O.

What can't be shown, or would reach the lead as a stray attachment, is refused before anything is promised.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated
from urllib.parse import unquote

from msgspec import Meta

from schemas.errors import Reject
from schemas.references import unescape
from schemas.state.images import Image

MAX_IMAGES = 20
# In base64 2.7 MB of the record's 6: html of 2 MB fits beside them unless it needs many escapes.
MAX_IMAGES_BYTES = 2_000_000
MAX_CONTENT_ID = 100

# How each begins. No SVG: mail clients don't show it, and it can hold scripts.
_BEGINNINGS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
_TYPES = ", ".join(_BEGINNINGS)
# A msg-id (RFC 2045, 7) less its brackets, of characters that need no escape in a URL; with or without an @.
_ATOMS = r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
_CONTENT_ID = re.compile(rf"{_ATOMS}(?:@{_ATOMS})?")


class ImageRequest(Image, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image of the email's html, which shows it with `<img src="cid:...">`."""

    content_id: Annotated[
        str,
        Meta(
            description=f"What stands after `cid:` in the html: letters, digits and `. _ + -`, an `@` between them or "
            f"not, at most {MAX_CONTENT_ID}.",
            examples=["logo"],
        ),
    ]
    media_type: Annotated[str, Meta(extra_json_schema={"enum": list(_BEGINNINGS)})]
    content: Annotated[
        bytes,
        Meta(
            description="Standard base64 (RFC 4648, 4) in one line.",
            extra_json_schema={"examples": ["R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"]},
        ),
    ]


def check_images(images: Sequence[Image], html: str) -> None:
    """Raise Reject, with the reason and the field, unless each can stand in the email and the html shows it."""
    if len(images) > MAX_IMAGES:
        raise Reject("image-invalid", f"images: at most {MAX_IMAGES}")
    total = sum(len(image.content) for image in images)
    if total > MAX_IMAGES_BYTES:
        raise Reject(
            "too-large",
            f"images: {total} bytes together, at most {MAX_IMAGES_BYTES}; make them smaller, or put them on a web "
            "server and link to them",
        )

    @cache
    def decoded() -> str:
        """Needed only where a content id doesn't stand in the html as it is."""
        return unquote(unescape(html)).lower()

    found: set[str] = set()
    for index, image in enumerate(images):
        field = f"images[{index}]"
        if len(image.content_id) > MAX_CONTENT_ID or not _CONTENT_ID.fullmatch(image.content_id):
            raise Reject(
                "image-invalid",
                f"{field}.content_id: want letters, digits and . _ + - with or without an @ between them, no brackets, "
                f"at most {MAX_CONTENT_ID}",
            )
        if image.content_id.lower() in found:
            raise Reject("image-invalid", f"{field}.content_id: another image has it, capitals aside")
        found.add(image.content_id.lower())
        beginning = _BEGINNINGS.get(image.media_type)
        if beginning is None:
            raise Reject("image-invalid", f"{field}.media_type: want one of {_TYPES}")
        if not beginning.match(image.content):
            raise Reject("image-invalid", f"{field}.content: its bytes are no {image.media_type}")
        shown = f"cid:{image.content_id}"
        if shown not in html and shown.lower() not in decoded():
            raise Reject("image-invalid", f"{field}: no cid:{image.content_id} in the html, so nothing would show it")
