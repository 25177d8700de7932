"""Who may call `/v1`: a caller with a configured key, within the key's scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ingest.api.http.problems import Problem
from schemas.keys import find
from schemas.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="An API key. Not needed when none is configured (loopback only).")


def caller_of(settings: Settings, scope: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets a caller with this scope pass, or answers 401 or 403.

    Leaves the key's name in `request.state.caller`: what one caller says is not mixed up with what another does.
    """
    keys = settings.callers

    async def check(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        request.state.caller = ""
        if not keys:
            return
        key = find(keys, credentials.credentials.encode() if credentials else b"")
        if key is None:
            raise Problem(401, "Send `Authorization: Bearer <API key>`.", {"WWW-Authenticate": "Bearer"})
        if scope not in key.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'  # RFC 6750, 3.1
            raise Problem(403, f"This key is not for {scope}.", {"WWW-Authenticate": challenge}, reason="scope")
        request.state.caller = key.name

    return check
