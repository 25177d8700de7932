"""What could not be processed: a record of the topic `dead`."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Time


class Dead(Struct, frozen=True, kw_only=True):
    """A record that could not be processed, whole, with the reason. Topic `dead`. `key` and `value` are base64."""

    stage: str
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    at: Time
    key: str
    value: str
