"""HTTP sessions: a name that keeps one connection, with its temporary tables and SETs, between requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, ServerError
from clickhouse.embedded.link import Link
from clickhouse.embedded.request import Request


@dataclass(slots=True)
class Session:
    """One session; its connection is opened by the first query that needs it. Times are monotonic seconds."""

    busy: bool = False
    timeout: int = 0
    expires_at: float = 0.0
    _link: Link | None = field(default=None)

    def link(self, engine: Engine) -> Link:
        """The session's connection. Blocking."""
        if self._link is None:
            self._link = engine.link()
        return self._link

    def close(self) -> None:
        """Drops the temporary tables and the connection. Blocking."""
        if self._link is not None:
            self._link.close()
            self._link = None


class Sessions:
    """The sessions of all users. Not thread-safe: the event loop alone calls it."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], Session] = {}

    def take(self, request: Request) -> Session:
        """Locks the request's session for one query: a second query at the same time is refused with code 373."""
        key = (request.user.name, request.session_id)
        session = self._sessions.get(key)
        if session is None:
            if request.session_check:
                raise ServerError(SESSION_NOT_FOUND, f"Session {request.session_id[:100]} not found")
            session = self._sessions[key] = Session()
        elif session.busy:
            raise ServerError(SESSION_IS_LOCKED, f"Session {request.session_id[:100]} is locked by a concurrent client")
        session.busy = True
        session.timeout = request.session_timeout
        return session

    def give_back(self, session: Session, now: float) -> None:
        """Unlocks a session and starts its timeout."""
        session.busy = False
        session.expires_at = now + session.timeout

    def expired(self, now: float) -> list[Session]:
        """Removes and returns the idle sessions whose time is over; the caller closes them."""
        over = {key: s for key, s in self._sessions.items() if not s.busy and s.expires_at <= now}
        for key in over:
            del self._sessions[key]
        return list(over.values())

    def remove(self, session: Session) -> None:
        """Forgets one session; the caller closes it."""
        self._sessions = {key: s for key, s in self._sessions.items() if s is not session}

    def drain(self) -> list[Session]:
        """Removes and returns every session; the caller closes them."""
        everything = list(self._sessions.values())
        self._sessions.clear()
        return everything
