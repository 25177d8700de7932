"""The images that travel within an email: what is kept of each on the topics `sends` and `retries`."""

from __future__ import annotations

from msgspec import Struct


class Image(Struct, frozen=True, kw_only=True):
    """An image that the html of its email shows as `cid:` and `content_id` (RFC 2392). `content` is base64 in JSON."""

    content_id: str
    media_type: str
    content: bytes
