"""How msgspec structs stand in the OpenAPI document, for routes that decode and encode by themselves.

Each struct is a named component, once, so that what generates clients makes one class of it in however many answers.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.routing import APIRoute

_PLACE = "#/components/schemas/"
_TEMPLATE = _PLACE + "{name}"
_PROBLEM_TYPE = "application/problem+json"
# FastAPI's own errors, which are answered as problems.
_FASTAPIS = ("HTTPValidationError", "ValidationError")

_components: dict[str, dict[str, Any]] = {
    "Problem": {
        "title": "Problem",
        "description": "What is wrong, and what to do (RFC 9457). `reason`, where it is there, is one word.",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string"},
        },
    }
}
PROBLEM = {"$ref": _PLACE + "Problem"}


def answer(status: int, body: msgspec.Struct) -> Response:
    """A struct as a JSON answer."""
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The struct's JSON Schema: a reference to its component, which stands in the document from now on."""
    (found,), parts = msgspec.json.schema_components([struct], ref_template=_TEMPLATE)
    for name, part in parts.items():
        _components.setdefault(name, _with_defaults_said(part))
    reference: dict[str, Any] = found
    return reference


def _with_defaults_said(part: dict[str, Any]) -> dict[str, Any]:
    """The component with its defaults in words: TypeScript's generator takes a field that has one for a field that must
    be given, and Python's sends it."""
    for field in part.get("properties", {}).values():
        default = field.pop("default", None)
        if default not in (None, "", [], {}):
            said = json.dumps(default)
            field["description"] = f"{field.get('description', '')} Default: `{said}`.".strip()
    return part


def content(struct: type[msgspec.Struct], example: object = None) -> dict[str, Any]:
    """The `content` of an answer that is this struct, and what one may look like."""
    described = {"schema": schema(struct)} | ({"example": example} if example is not None else {})
    return {"content": {"application/json": described}}


def body(struct: type[msgspec.Struct], of: type[msgspec.Struct] | None = None, **properties: Any) -> dict[str, Any]:
    """The description of a body that is this struct; `properties` replace what the struct can't say of itself. `of` is
    what it is a batch of, where the same struct is a batch of something else on another route."""
    reference = schema(struct)
    if properties:
        name = struct.__name__ + (f"Of{of.__name__}" if of else "")
        part = _components[struct.__name__]
        _components[name] = part | {"title": name, "properties": part["properties"] | properties}
        reference = {"$ref": _PLACE + name}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def operation_id(route: APIRoute) -> str:
    """What a generated client calls it: the function's name, and the noun where others have that name too."""
    noun = next((part for part in reversed(route.path.split("/")) if part and "{" not in part), "")
    return f"{route.name}_{noun}" if route.name in ("add", "listed", "remove") else route.name


def with_components(app: FastAPI) -> None:
    """Let the application's document have the components, and say problem wherever FastAPI would say its own error."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = plain()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            for name in _FASTAPIS:
                schemas.pop(name, None)
            schemas |= _components
            for operations in found["paths"].values():
                for operation in operations.values():
                    _say_problem(operation["responses"])
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _say_problem(responses: dict[str, Any]) -> None:
    found = responses.get("422", {}).get("content", {})
    if "HTTPValidationError" in str(found.get("application/json", "")):
        del found["application/json"]
        found[_PROBLEM_TYPE] = {"schema": PROBLEM}
        responses["422"]["description"] = "A parameter is not as described; `detail` says what to write."
