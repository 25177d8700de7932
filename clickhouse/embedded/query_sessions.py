"""HTTP sessions: a name that keeps one connection, with its temporary tables and SETs, between requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.engine_connection import EngineConnection
from clickhouse.embedded.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, ServerError
from clickhouse.embedded.request import QueryRequest


@dataclass(slots=True)
class QuerySession:
    """One session; its connection is opened by the first query that needs it. Times are monotonic seconds."""

    busy: bool = False
    timeout: int = 0
    expires_at: float = 0.0
    _connection: EngineConnection | None = field(default=None)

    def connection(self, engine: Engine) -> EngineConnection:
        """The session's connection. Blocking."""
        if self._connection is None:
            self._connection = engine.connection()
        return self._connection

    def close(self) -> None:
        """Drops the temporary tables and the connection. Blocking."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class QuerySessions:
    """The sessions of all users. Not thread-safe: the event loop alone calls it."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], QuerySession] = {}

    def take(self, request: QueryRequest) -> QuerySession:
        """Locks the request's session for one query: a second query at the same time is refused with code 373."""
        key = (request.user.name, request.session_id)
        session = self._sessions.get(key)
        if session is None:
            if request.session_check:
                raise ServerError(SESSION_NOT_FOUND, f"Session {request.session_id[:100]} not found")
            session = self._sessions[key] = QuerySession()
        elif session.busy:
            raise ServerError(SESSION_IS_LOCKED, f"Session {request.session_id[:100]} is locked by a concurrent client")
        session.busy = True
        session.timeout = request.session_timeout
        return session

    def give_back(self, session: QuerySession, now: float) -> None:
        """Unlocks a session and starts its timeout."""
        session.busy = False
        session.expires_at = now + session.timeout

    def expired(self, now: float) -> list[QuerySession]:
        """Removes and returns the idle sessions whose time is over; the caller closes them."""
        over = {key: s for key, s in self._sessions.items() if not s.busy and s.expires_at <= now}
        for key in over:
            del self._sessions[key]
        return list(over.values())

    def remove(self, session: QuerySession) -> None:
        """Forgets one session; the caller closes it."""
        self._sessions = {key: s for key, s in self._sessions.items() if s is not session}

    def drain(self) -> list[QuerySession]:
        """Removes and returns every session; the caller closes them."""
        everything = list(self._sessions.values())
        self._sessions.clear()
        return everything
