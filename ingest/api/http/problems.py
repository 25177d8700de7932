"""Errors of the API as problem details (RFC 9457): one JSON object that says what is wrong and what to do."""

from __future__ import annotations

import json
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ingest.api.http.openapi import PROBLEM
from schemas.errors import Reject, Retry

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class Problem(Exception):
    """An answer that is an error. `detail` is for the caller's engineer; `more` are further members of the object."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more


def described(status: int, text: str) -> dict[int | str, dict[str, object]]:
    """An entry of a route's `responses`, for the OpenAPI document."""
    return {status: {"description": text, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}}


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem; an exception nobody expected is logged and says no more than 500."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return answer(error)

    @app.exception_handler(Retry)
    async def retry(request: Request, error: Retry) -> Response:
        detail = f"{error}. Nothing was promised; the same request may be sent again."
        return _response(503, detail, {"Retry-After": RETRY_SECONDS}, {})

    @app.exception_handler(Reject)
    async def reject(request: Request, error: Reject) -> Response:
        return _response(422, str(error), {}, {"reason": error.reason})

    @app.exception_handler(RequestValidationError)
    async def parameters(request: Request, error: RequestValidationError) -> Response:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        return _response(422, wrong, {}, {"reason": "parameter-invalid"})

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_allowed(app, request)) or headers.get("Allow", "")
        return _response(error.status_code, str(error.detail), headers, {})

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("a request failed", method=request.method, error=type(error).__name__)
        return _response(500, "The server failed. It is logged.", {}, {})


def answer(problem: Problem) -> Response:
    """The problem as an answer."""
    return _response(problem.status, problem.detail, problem.headers, problem.more)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """The methods that a path has. Starlette names those of the first of its routes alone."""

    def has(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in app.routes)

    return list(filter(has, _METHODS))


def _response(status: int, detail: str, headers: dict[str, str], more: dict[str, object]) -> Response:
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(body), status, headers, media_type=MEDIA_TYPE)
