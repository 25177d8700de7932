"""The rows of one panel: of a table that is too long for one answer, page by page; and all of them, as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from clickhouse.exports.exporting import Exports, guarded, unlimited
from clickhouse.exports.packing import packed
from clickhouse.queries import Query
from clickhouse.query_client import QueryClient
from dashboards.page import plain_words
from dashboards.page.answer_headers import HEADERS, RETRY
from dashboards.page.board_question import BoardQuestion, asked, viewer_of, while_there
from dashboards.panels import Board, Field, Panel, Unit
from schemas.errors import Misconfigured, Retry


def row_routes(reader: QueryClient, exporting: Exports, boards: Mapping[str, Board]) -> APIRouter:
    """`/boards/BOARD/PANEL.json?place=...`: `{"rows": [...]}`, those after the row of that place; and `PANEL.csv`."""
    routes = APIRouter()
    exports = {(key, panel.key): _export(panel) for key, board in boards.items() for panel in board.panels}

    @routes.get("/boards/{board}/{panel}.json")
    async def page(
        request: Request, board: str, panel: str, question: Annotated[BoardQuestion, Depends(asked)]
    ) -> Response:
        query = panel_of(boards, board, panel).pages
        if query is None:
            raise HTTPException(404, "This panel's rows come with its board.")
        try:
            key = (board, panel, question.same)
            asking = reader.answers(key, [query], question.parameters.parameters(), viewer_of(request))
            answers = await while_there(request, asking)
        except (Retry, Misconfigured) as error:
            raise HTTPException(503, plain_words.of_board(error), RETRY) from error
        answer = answers[query.name]
        if "error" in answer:
            raise HTTPException(503, plain_words.of_panel(query.name, answer["error"]), RETRY)
        return await packed(request, JSONResponse(answer, headers=HEADERS | {"Cache-Control": "no-store"}))

    @routes.get("/boards/{board}/{panel}.csv")
    async def export(board: str, panel: str, question: Annotated[BoardQuestion, Depends(asked)]) -> Response:
        panel_of(boards, board, panel)
        rows = exports[board, panel]
        name = f"sendlens-{board}-{panel}.csv"
        headers = HEADERS | {
            "Content-Type": "text/csv; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
        values = rows.values(question.parameters.parameters())
        try:
            return await exporting.answer(rows, values, "CSVWithNames", b"", headers, lambda _: None)
        except Retry as error:
            raise HTTPException(503, plain_words.of_board(error), RETRY) from error

    return routes


def _export(panel: Panel) -> Query:
    """All rows of a panel: the columns that it shows, in its words."""
    if panel.whole:
        texts = ["lead", "campaign", "variant", "sender", "recipient_domain"]
        return guarded(panel.whole, texts)
    shown = {field.title: field for field in panel.columns}
    columns = ",\n".join(f"    {_exported(field)} AS `{title}`" for title, field in shown.items())
    every = unlimited(panel.query)
    titled = every.rewritten(f"SELECT\n{columns}\nFROM {every.source}")
    return guarded(titled, [f"`{title}`" for title, field in shown.items() if field.unit is Unit.TEXT])


def _exported(field: Field) -> str:
    return f"ifNull(toString({field.column}), '')" if field.unit is Unit.TEXT else field.column


def panel_of(boards: Mapping[str, Board], board: str, panel: str) -> Panel:
    """The panel of these keys. Raises HTTPException 404."""
    found = [one for one in boards[board].panels if one.key == panel] if board in boards else []
    if not found:
        raise HTTPException(404, f"There is no panel {panel[:40]!r} on a board {board[:40]!r}.")
    return found[0]
