"""Who may call `/v1`: whoever sends the configured key, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ingest.problems import Problem
from schemas.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="SENDLENS_API_KEY. Not needed when none is set (loopback only).")


def caller_of(settings: Settings) -> Callable[..., Awaitable[None]]:
    """A dependency that lets a caller of `/v1` pass, or answers 401. Scoped keys would be told apart here."""
    expected = settings.api_key.encode()

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        if not expected:
            return
        given = credentials.credentials.encode() if credentials else b""
        if not hmac.compare_digest(given, expected):
            raise Problem(401, "Send `Authorization: Bearer <SENDLENS_API_KEY>`.", {"WWW-Authenticate": "Bearer"})

    return check
