"""What tests ask an ingest about the known week."""

from __future__ import annotations

from typing import Any

from tests.ingest.room import Room

WEEK = {"since": "2026-03-02", "until": "2026-03-09"}


async def got(room: Room, path: str, **params: Any) -> dict[str, Any]:
    """The JSON of an answer that must be one."""
    answer = await room.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
