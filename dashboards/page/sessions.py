"""Sessions of the page: a signed cookie with its expiry, and the sessions that were ended before it.

A cookie is signed with the token keys, over the digest of the API key too: it ends with its time, with the API key and
with the token keys, and no process needs to remember it. A session that is logged out is remembered until its time is
up, as an empty file in the data folder: so it has ended for every process that shares the folder, and after a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from schemas.errors import Retry
from schemas.keys import ApiKey
from schemas.settings import Settings

SESSION_SECONDS = 12 * 3600  # a working day
_COOKIE = re.compile(r"([0-9]{1,12}\.[0-9a-f]{32})\.([0-9a-f]{64})")


class LoginSessions:
    """Begins, recognises and ends sessions. `now` is the wall clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._secrets = [hmac.digest(secret, b"page session", "sha256") for secret in settings.keyring.keys.values()]
        self._ended = settings.data_dir / "sessions-ended"
        self._now = now

    def begin(self, key: ApiKey) -> str:
        """The cookie's value for a new session of this key's owner."""
        session = f"{int(self._now()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{session}.{next(self._macs(session, [key]))}"

    def holds(self, cookie: str, keys: Iterable[ApiKey]) -> bool:
        """Whether this cookie is of a session of one of these keys, in its time and not ended."""
        session = self._session(cookie, keys)
        if session is None or int(session.partition(".")[0]) <= self._now():
            return False
        try:
            (self._ended / session).stat()
        except FileNotFoundError:
            return True
        except OSError:  # nobody can say: an ended session must not come back
            return False
        return False

    def end(self, cookie: str, keys: Iterable[ApiKey]) -> None:
        """End the cookie's session, for good. Raises Retry when the data folder does not take it."""
        session = self._session(cookie, keys)
        if session is None:
            return
        try:
            self._ended.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._ended / session).touch(mode=0o600)
            _to_disk(self._ended)
            self._forget()
        except OSError as error:
            raise Retry(f"the data folder does not take the end of the session ({error.strerror})") from None

    def _session(self, cookie: str, keys: Iterable[ApiKey]) -> str | None:
        """The end and the id of a session that was signed here; a name that no stranger can choose."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        given = [hmac.compare_digest(found[2], mac) for mac in self._macs(found[1], keys)]
        return found[1] if any(given) else None

    def _macs(self, session: str, keys: Iterable[ApiKey]) -> Iterator[str]:
        """The signature by the newest token key first."""
        for secret in self._secrets:
            for key in keys:
                yield hmac.new(secret, key.digest + session.encode(), hashlib.sha256).hexdigest()

    def _forget(self) -> None:
        """Remove what would be too old by now in any case."""
        for entry in os.scandir(self._ended):
            until = entry.name.partition(".")[0]
            if until.isdigit() and int(until) <= self._now():
                Path(entry).unlink(missing_ok=True)  # another process may do the same


def _to_disk(folder: Path) -> None:
    """See a folder's new entry through a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
