"""How msgspec structs stand in the OpenAPI document, for routes that decode and encode by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi.responses import Response


def answer(status: int, body: msgspec.Struct) -> Response:
    """A struct as a JSON answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The struct's JSON Schema, with what it refers to written out in place."""
    (found,), parts = msgspec.json.schema_components([struct], ref_template="{name}")

    def written_out(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return written_out(parts[node["$ref"]])
            return {key: written_out(value) for key, value in node.items()}
        return [written_out(item) for item in node] if isinstance(node, list) else node

    whole: dict[str, Any] = written_out(found)
    return whole


def content(struct: type[msgspec.Struct], example: object = None) -> dict[str, Any]:
    """The `content` of an answer that is this struct, and what one may look like."""
    described = {"schema": schema(struct)} | ({"example": example} if example is not None else {})
    return {"content": {"application/json": described}}


def body(struct: type[msgspec.Struct], **properties: dict[str, Any]) -> dict[str, Any]:
    """The description of a body that is this struct; `properties` replace what the struct can't say of itself."""
    described = content(struct)
    described["content"]["application/json"]["schema"]["properties"].update(properties)
    return {"requestBody": {"required": True, **described}}
