"""Routes of questions that ClickHouse answers: one whose asker hung up is cancelled too, and answers are compressed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from clickhouse.exports.packing import packed
from clickhouse.query_client import AskerLeft, while_connected
from ingest.api.http.problems import Problem

T = TypeVar("T")


class QueryRoute(APIRoute):
    """A route whose GETs are answered only while somebody waits; other methods, whose bodies are read, as ever."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answered = super().get_route_handler()
        if self.methods != {"GET"}:
            return answered

        async def answered_while_there(request: Request) -> Response:
            return await packed(request, await while_there(request, answered(request)))

        return answered_while_there


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result, if the asker of the request, whose body was read, stays for it. Else nobody reads the Problem
    that is raised."""
    try:
        return await while_connected(request.receive, work)
    except AskerLeft:
        raise Problem(408, "Who asked left.") from None
