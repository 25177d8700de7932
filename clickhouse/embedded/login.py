"""Authentication: the accounts, the ways in which a request names one, and how wrong passwords are slowed down."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from clickhouse.embedded.engine_connection import Access
from clickhouse.embedded.errors import AUTHENTICATION_FAILED, ServerError

# A wrong password is answered after this long, and after twice as long for each other one of the last minute.
_FIRST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 2.0
_REMEMBERED_SECONDS: Final = 60.0
# Wrong ones that are kept waiting at once. More would use up the connections that the right one comes by.
_WAITING: Final = 64


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in; without a password (None) anybody may under this name, which is for tests alone."""

    name: str
    password: str | None
    access: Access


class Accounts:
    """The users by name. The right password is let in at once, however many wrong ones came before."""

    def __init__(self, users: Iterable[User]) -> None:
        self._users = {user.name: user for user in users}
        if any(user.password == "" for user in self._users.values()):
            raise ValueError("an account needs a password")
        self._digests = {name: _digest((user.password or "").encode()) for name, user in self._users.items()}
        self._nobody = secrets.token_bytes(sha256().digest_size)
        self._wrong: deque[float] = deque(maxlen=16)
        self._waiting = 0

    async def admit(self, headers: Mapping[str, str], arguments: Mapping[str, str]) -> User:
        """The authenticated user. Raises ServerError, code 516, delayed, for a wrong password."""
        name, password = credentials(headers, arguments)
        user = self._users.get(name)
        # Neither how much of a password is right nor whether there is such a name shows in the time that this takes.
        matches = hmac.compare_digest(self._digests.get(name, self._nobody), _digest(password))
        if user is not None and (matches or user.password is None):
            return user
        await self._hold_back()
        failed = "Authentication failed: password is incorrect, or there is no user with such name."
        raise ServerError(AUTHENTICATION_FAILED, f"{name[:100]}: {failed}", logged=failed)

    async def _hold_back(self) -> None:
        now = time.monotonic()
        while self._wrong and self._wrong[0] < now - _REMEMBERED_SECONDS:
            self._wrong.popleft()
        seconds = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** len(self._wrong))
        self._wrong.append(now)
        if self._waiting >= _WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1


def credentials(headers: Mapping[str, str], arguments: Mapping[str, str]) -> tuple[str, bytes]:
    """Name and password: by X-ClickHouse headers, HTTP Basic or the URL's arguments, never by two of them at once.

    Headers are latin-1 text, as ASGI has them. Raises ServerError, code 516.
    """
    by_header = "x-clickhouse-user" in headers or "x-clickhouse-key" in headers
    by_basic = "authorization" in headers
    by_argument = "user" in arguments or "password" in arguments
    if by_header + by_basic + by_argument > 1:
        raise ServerError(AUTHENTICATION_FAILED, "Invalid authentication: only one method may be used at once.")
    if by_header:
        name, password = (headers.get(f"x-clickhouse-{part}", "").encode("latin-1") for part in ("user", "key"))
    elif by_basic:
        name, password = _basic(headers["authorization"])
    else:
        name, password = (arguments.get(part, "").encode("utf-8", "replace") for part in ("user", "password"))
    return name.decode("utf-8", "replace") or "default", password


def _basic(header: str) -> tuple[bytes, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise ServerError(AUTHENTICATION_FAILED, "This authentication scheme is not supported.")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except ValueError as error:  # binascii.Error is one; so is what is said of signs beyond ASCII
        raise ServerError(AUTHENTICATION_FAILED, "The Authorization header is malformed.") from error
    return name, password


def _digest(password: bytes) -> bytes:
    return sha256(password).digest()
