"""Exports the JSON Schema of everything that travels on the topics to `schemas/json/`: `python -m schemas.export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas import events, raw_mail
from schemas.state import attempts, dead_records, positions, previews, webhook_calls

FOLDER = Path(__file__).with_name("json")
_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    *events.EVENTS,
    events.Hit,
    events.Send,
    events.Delivery,
    attempts.Attempt,
    attempts.Waiting,
    events.Campaign,
    events.Pause,
    events.Lead,
    events.Link,
    previews.Preview,
    raw_mail.Mail,
    positions.Position,
    dead_records.Dead,
    webhook_calls.Endpoint,
    webhook_calls.Call,
    webhook_calls.EventNotice,
)


def render() -> dict[str, str]:
    """File name to text, for every struct."""
    return {f"{_file_name(struct)}.json": _render(struct) for struct in _STRUCTS}


def _render(struct: type[msgspec.Struct]) -> str:
    (reference,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    name = reference["$ref"].rpartition("/")[2]
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{_file_name(struct)}.json",
        **components.pop(name),
    }
    if components:
        document["$defs"] = components
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _file_name(struct: type[msgspec.Struct]) -> str:
    """The event's kind, or the struct's name in lower case."""
    return str(struct.__struct_config__.tag or struct.__name__.lower())


def main() -> None:
    """Write every file, and remove those of structs that are gone."""
    FOLDER.mkdir(exist_ok=True)
    rendered = render()
    for path in FOLDER.glob("*.json"):
        if path.name not in rendered:
            path.unlink()
    for name, text in rendered.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
