"""The built-in page: `/`, its files under `/static/`, and `/boards/NAME.json` with a board's numbers."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import html
import mimetypes
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from clickhouse import queries, store
from clickhouse.exports.exporting import Exports
from clickhouse.exports.packing import packed, takes_gzip
from clickhouse.query_client import QueryClient, QueryResult
from dashboards.boards import BOARDS
from dashboards.page import plain_words
from dashboards.page.answer_headers import HEADERS, RETRY
from dashboards.page.board_question import BoardQuestion, asked, viewer_of, while_there
from dashboards.page.click_map.map_routes import map_routes
from dashboards.page.find import find_routes
from dashboards.page.lists import outcome_of
from dashboards.page.login import Authenticator, login_routes
from dashboards.page.rows import row_routes
from dashboards.panels import Board, Field, HeatmapColumns, Panel, PanelKind, RowLink
from dashboards.variables import CAMPAIGN
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

STATIC = Path(__file__).with_name("static")

_FORM_HEADERS = HEADERS | {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'"),
    "Referrer-Policy": "same-origin",  # with no-referrer a browser says of the form that nobody sent it: `Origin: null`
    "Cache-Control": "no-store",
}
_OF_FORM = frozenset({"style.css", "theme.js", "favicon.svg"})  # what the form to log in needs

_COMPARED = (PanelKind.STAT, PanelKind.TIME_SERIES)  # what shows another period beside its own

_ANY_EMAILS = queries.get("any_emails")


def router(
    settings: Settings, connect: Callable[[], Client] | None = None, offered: Sequence[Board] = BOARDS
) -> APIRouter:
    """The page's routes, with these boards. Connects to ClickHouse when a board is first asked for.

    With API keys set the page wants one too: see dashboards/page/login.py.
    """
    # Short, because a viewer waits and the page asks again by itself.
    patience: dict[str, Any] = {"connect_timeout": 3, "send_receive_timeout": 20, "query_retries": 0}
    reader = QueryClient(connect or partial(store.connect, settings, **patience))
    exporting = Exports(
        connect or partial(store.connect, settings, connect_timeout=3, send_receive_timeout=300, compress=False)
    )
    boards = {board.key: board for board in offered}
    files = {str(path.relative_to(STATIC)): _StaticFile.read(path) for path in STATIC.rglob("*") if path.is_file()}

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.gather(*(asyncio.to_thread(part.close) for part in (reader, exporting)))

    authenticator = Authenticator(settings)
    routes = APIRouter(lifespan=lifespan, include_in_schema=False)
    inside = [Depends(authenticator.check)]

    def form(wrong: str, status: int) -> Response:
        page = files["login.html"].plain.replace(b"{wrong}", html.escape(wrong).encode())
        return Response(page, status, _FORM_HEADERS, "text/html")

    routes.include_router(login_routes(authenticator, form))

    @routes.get("/", dependencies=inside)
    async def page(request: Request) -> Response:
        return files["index.html"].answer(request, keep=False)

    @routes.get("/static/{name:path}")
    async def static(name: str, request: Request) -> Response:
        if name not in _OF_FORM:
            await authenticator.check(request)
        if name not in files:
            raise HTTPException(404, "There is no such file.")
        return files[name].answer(request, keep=name.startswith("vendor/"))

    @routes.get("/boards/{key}.json", dependencies=inside)
    async def numbers(request: Request, key: str, question: Annotated[BoardQuestion, Depends(asked)]) -> Response:
        if key not in boards:
            raise HTTPException(404, f"There is no board {key[:40]!r}. There are: {', '.join(boards)}.")
        board = boards[key]
        options = {variable.name: variable.options for variable in board.variables if variable.options}
        wanted = [*board.queries, *options.values(), _ANY_EMAILS]
        knows_campaigns = CAMPAIGN in board.variables
        compared = question.compared if knows_campaigns or not question.by_campaign else None
        drawn = {panel.query.name: panel.query for panel in board.panels if panel.kind in _COMPARED}

        async def both() -> tuple[dict[str, QueryResult], dict[str, QueryResult]]:
            viewer = viewer_of(request)
            asking = [reader.answers((key, question.same), wanted, question.parameters.parameters(), viewer)]
            if compared:
                there = (key, question.same, question.compare)
                asking.append(reader.answers(there, list(drawn.values()), compared.parameters(), viewer))
            now, *before = await asyncio.gather(*asking)
            return now, before[0] if before else {}

        try:
            answers, earlier = await while_there(request, both())
        except (Retry, Misconfigured) as error:
            # With the board, so that the way to the others stays.
            said = {"detail": plain_words.of_board(error), "board": _board(board, offered)}
            return JSONResponse(said, 503, HEADERS | RETRY | {"Cache-Control": "no-store"})
        answer = JSONResponse(
            {
                "board": _board(board, offered),
                "since": question.parameters.since.isoformat(),
                "until": question.parameters.until.isoformat(),
                "timezone": question.parameters.timezone,
                "options": {name: answers[query.name].get("rows", []) for name, query in options.items()},
                "logged_in": authenticator.by_cookie(request),
                "any_emails": any(row["any_emails"] for row in answers[_ANY_EMAILS.name].get("rows", [])),
                "compared": {name: answer for name, answer in earlier.items() if "rows" in answer},
                "answers": {query.name: _told(query.name, answers[query.name]) for query in board.queries},
            },
            headers=HEADERS | {"Cache-Control": "no-store"},
        )
        return await packed(request, answer)

    routes.include_router(find_routes(settings, reader), dependencies=inside)
    routes.include_router(map_routes(reader), dependencies=inside)
    routes.include_router(row_routes(reader, exporting, boards), dependencies=inside)
    return routes


@dataclass(frozen=True)
class _StaticFile:
    """A file of the page, held in memory, plain and compressed."""

    media_type: str
    etag: str
    plain: bytes
    packed: bytes

    @classmethod
    def read(cls, path: Path) -> _StaticFile:
        plain = path.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        etag = f'"{hashlib.sha256(plain).hexdigest()[:20]}"'
        return cls(media_type, etag, plain, gzip.compress(plain, mtime=0))

    def answer(self, request: Request, *, keep: bool) -> Response:
        """`keep` is for files whose name changes with their content; others are asked for again, and cost a 304."""
        control = "public, max-age=31536000, immutable" if keep else "no-cache"
        headers = HEADERS | {"ETag": self.etag, "Cache-Control": control, "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == self.etag:
            return Response(status_code=304, headers=headers)
        if takes_gzip(request):
            return Response(self.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.plain, headers=headers, media_type=self.media_type)


def _told(query: str, answer: QueryResult) -> QueryResult:
    return {"error": plain_words.of_panel(query, answer["error"])} if "error" in answer else answer


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
        "fields": [_field(field, outcome_of(panel.query.name, field.column)) for field in panel.fields],
        "pages": panel.pages is not None,
        "link": _link(panel.link) if panel.link else None,
        "across": _across(panel.across) if panel.across else None,
        "of": asdict(panel.of) if panel.of else None,
        "better": panel.better.value,
        "stacked": panel.stacked,
        "no_value": panel.no_value,
        "area": asdict(panel.area),
    }


def _link(link: RowLink) -> dict[str, str]:
    return {"column": link.column, "sets": link.sets.name, "board": link.board}


def _across(columns: HeatmapColumns) -> dict[str, Any]:
    return {"column": columns.column, "title": columns.title, "values": columns.values}


def _field(field: Field, outcome: str = "") -> dict[str, Any]:
    return {
        "column": field.column,
        "title": field.title,
        "unit": field.unit.value,
        "about": field.about,
        "missing": field.missing,
        "color": field.color.name.lower(),
        "line": field.line,
        "outcome": outcome,
        "thresholds": [{"value": step.value, "color": step.color.name.lower()} for step in field.thresholds],
    }
