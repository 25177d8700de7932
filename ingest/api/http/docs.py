"""`/docs`: the OpenAPI document as a page, with every part of it served from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="icon" href="docs/favicon.png">
  <link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="docs/swagger-ui-bundle.js"></script>
  <script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
_HEADERS = {
    # Swagger UI sets styles on its elements and has pictures within its sheet; its scripts are files of ours.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KEPT = _HEADERS | {"Cache-Control": "max-age=86400"}


def docs_routes(app: FastAPI) -> APIRouter:
    """The router of `/docs`. Swagger UI's files come from the package fastapi-offline, not from a CDN."""
    router = APIRouter(include_in_schema=False)
    folder = Path(str(files("fastapi_offline"))) / "static"

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE.format(title=escape(f"{app.title}: the API")), headers=_HEADERS)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, headers=_KEPT, media_type="text/javascript")

    for name, media_type in _ASSETS.items():
        router.add_api_route(f"/docs/{name}", _file(folder / name, media_type), methods=["GET"])
    return router


def _file(path: Path, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def serve() -> Response:
        return FileResponse(path, headers=_KEPT, media_type=media_type)

    return serve
