"""The built-in page: `/`, its files under `/static/`, and `/boards/NAME.json` with a board's numbers."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import html
import mimetypes
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from clickhouse import queries, store
from clickhouse.asked import DEFAULT_SINCE, DEFAULT_UNTIL, ask
from clickhouse.reader import Reader
from dashboards.boards import BOARDS
from dashboards.login import Door, login_routes
from dashboards.panels import Board, Field, Link, Panel
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

STATIC = Path(__file__).with_name("static")

# Everything comes from here and nothing else is allowed: neither other hosts nor scripts or styles within the HTML.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FORM_HEADERS = _HEADERS | {
    "Content-Security-Policy": _HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'"),
    "Cache-Control": "no-store",
}
_OF_FORM = frozenset({"style.css", "theme.js", "favicon.svg"})  # what the form to log in needs
_RETRY = {"Retry-After": "3"}
_EVER = datetime.min.replace(tzinfo=UTC)

_ANY_EMAILS = queries.get("any_emails")


def router(
    settings: Settings, connect: Callable[[], Client] | None = None, offered: Sequence[Board] = BOARDS
) -> APIRouter:
    """The page's routes, with these boards. Connects to ClickHouse when a board is first asked for.

    With API keys set the page wants one too: see dashboards/login.py.
    """
    # Short, because a viewer waits and the page asks again by itself.
    patience: dict[str, Any] = {"connect_timeout": 3, "send_receive_timeout": 20, "query_retries": 0}
    reader = Reader(connect or partial(store.connect, settings, **patience))
    boards = {board.key: board for board in offered}
    files = {str(path.relative_to(STATIC)): _File.read(path) for path in STATIC.rglob("*") if path.is_file()}

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(reader.close)

    door = Door(settings)
    routes = APIRouter(lifespan=lifespan, include_in_schema=False)
    inside = [Depends(door.check)]

    def form(wrong: str, status: int) -> Response:
        page = files["login.html"].plain.replace(b"{wrong}", html.escape(wrong).encode())
        return Response(page, status, _FORM_HEADERS, "text/html")

    routes.include_router(login_routes(door, form))

    @routes.get("/", dependencies=inside)
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request, keep=False)

    @routes.get("/static/{name:path}")
    async def static(name: str, request: Request) -> Response:
        if name not in _OF_FORM:
            await door.check(request)
        if name not in files:
            raise HTTPException(404, "There is no such file.")
        return files[name].answer(request, keep=name.startswith("vendor/"))

    @routes.get("/boards/{key}.json", dependencies=inside)
    async def numbers(
        request: Request,
        key: str,
        since: str = DEFAULT_SINCE,
        until: str = DEFAULT_UNTIL,
        campaign: Annotated[list[str] | None, Query()] = None,
        step: Annotated[list[str] | None, Query()] = None,
        sender: Annotated[list[str] | None, Query()] = None,
        lead: str = "",
        timezone: str = "UTC",
    ) -> Response:
        if key not in boards:
            raise HTTPException(404, f"There is no board {key[:40]!r}. There are: {', '.join(boards)}.")
        try:
            asked = ask(
                since,
                until,
                campaign or [],
                timezone,
                datetime.now(UTC),
                steps=step or [],
                senders=sender or [],
                lead=lead,
            )
        except Reject as reject:
            raise HTTPException(422, str(reject)) from None
        board = boards[key]
        options = {variable.name: variable.options for variable in board.variables if variable.options}
        same = (key, since, until, replace(asked, since=_EVER, until=_EVER))  # a moment later it is the same question
        try:
            answers = await reader.answers(same, [*board.queries, *options.values(), _ANY_EMAILS], asked.parameters())
        except (Retry, Misconfigured) as error:
            raise HTTPException(503, f"{error}. The page tries again by itself.", _RETRY) from error
        return JSONResponse(
            {
                "board": _board(board, offered),
                "since": asked.since.isoformat(),
                "until": asked.until.isoformat(),
                "timezone": asked.timezone,
                "options": {name: answers[query.name].get("rows", []) for name, query in options.items()},
                "logged_in": door.by_cookie(request),
                "any_emails": any(row["any_emails"] for row in answers[_ANY_EMAILS.name].get("rows", [])),
                "answers": {query.name: answers[query.name] for query in board.queries},
            },
            headers=_HEADERS | {"Cache-Control": "no-store"},
        )

    return routes


@dataclass(frozen=True)
class _File:
    """A file of the page, held in memory, plain and compressed."""

    media_type: str
    etag: str
    plain: bytes
    packed: bytes

    @classmethod
    def read(cls, path: Path) -> _File:
        plain = path.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        etag = f'"{hashlib.sha256(plain).hexdigest()[:20]}"'
        return cls(media_type, etag, plain, gzip.compress(plain, mtime=0))

    def answer(self, request: Request, *, keep: bool) -> Response:
        """`keep` is for files whose name changes with their content; others are asked for again, and cost a 304."""
        control = "public, max-age=31536000, immutable" if keep else "no-cache"
        headers = _HEADERS | {"ETag": self.etag, "Cache-Control": control, "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == self.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return Response(self.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.plain, headers=headers, media_type=self.media_type)


def _board(board: Board, offered: Sequence[Board]) -> dict[str, Any]:
    """The board as the page draws it, and which boards it can go to."""
    return {
        "key": board.key,
        "title": board.title,
        "description": board.description,
        "boards": [
            {
                "key": other.key,
                "title": other.title,
                "since": other.since,
                "variables": [variable.name for variable in other.variables],
            }
            for other in offered
        ],
        "variables": [
            {
                "name": variable.name,
                "label": variable.label,
                "about": variable.about,
                "typed": variable.options is None,
            }
            for variable in board.variables
        ],
        "marks": board.marks.name if board.marks else None,
        "needs_emails": board.needs_emails,
        "panels": [_panel(panel) for panel in board.panels],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "key": panel.key,
        "kind": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "query": panel.query.name,
        "label": _field(panel.label) if panel.label else None,
        "fields": [_field(field) for field in panel.fields],
        "link": _link(panel.link) if panel.link else None,
        "across": asdict(panel.across) if panel.across else None,
        "of": asdict(panel.of) if panel.of else None,
        "better": panel.better.value,
        "stacked": panel.stacked,
        "no_value": panel.no_value,
        "area": asdict(panel.area),
    }


def _link(link: Link) -> dict[str, str]:
    return {"column": link.column, "sets": link.sets.name, "board": link.board}


def _field(field: Field) -> dict[str, Any]:
    return {
        "column": field.column,
        "title": field.title,
        "unit": field.unit.value,
        "about": field.about,
        "color": field.color.name.lower(),
        "line": field.line,
        "thresholds": [{"value": step.value, "color": step.color.name.lower()} for step in field.thresholds],
    }
