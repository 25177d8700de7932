"""One query from its connection to its last byte. Everything here blocks and runs on a worker thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.engine_connection import Access, EngineConnection, Insert, QueryProgress, identifier
from clickhouse.embedded.errors import BAD_ARGUMENTS, ServerError
from clickhouse.embedded.limits import limited
from clickhouse.embedded.native.native import TYPES_IN_BINARY, Reframing, reframing
from clickhouse.embedded.query_sessions import QuerySession
from clickhouse.embedded.request import QueryRequest
from clickhouse.embedded.statement import Statement, StatementKind

DEFAULT_FORMAT: Final = "TabSeparated"
# chDB encodes each piece of a stream as a whole of its own. In these formats the pieces concatenate to the same result;
# the others have a header, a frame or a separator, and are built whole.
_CONCATENABLE: Final = frozenset(
    {
        "csv",
        "jsoncompacteachrow",
        "jsoneachrow",
        "jsonlines",
        "jsonstringseachrow",
        "lineasstring",
        "msgpack",
        "native",
        "ndjson",
        "null",
        "rowbinary",
        "rawblob",
        "tabseparated",
        "tabseparatedraw",
        "tskv",
        "tsv",
        "tsvraw",
    }
)
# One trip to a worker thread brings about this much; a small result is then a single trip.
_PULL_BYTES: Final = 512 * 1024


class Execution:
    """A statement being run for a request; `close` must be called, and gives the connection back as it was found."""

    def __init__(
        self, engine: Engine, request: QueryRequest, statement: Statement, session: QuerySession | None
    ) -> None:
        self.progress = QueryProgress()
        self.closed = False
        self.format = statement.format or request.default_format or DEFAULT_FORMAT
        self._engine = engine
        self._request = request
        self._reframing = self._choose_reframing(request, statement)
        self._statement = statement
        # Nothing a readonly user may do outlives the query, so those sessions need no connection of their own,
        # and `readonly`, which cannot be lowered again, never meets a shared one.
        self._session = session if request.user.access is Access.FULL else None
        self._connection: EngineConnection | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._streaming = False
        self._insert: Insert | None = None
        self._started = time.monotonic_ns()

    def start(self) -> None:
        """Judges the statement, prepares the connection and hands the one to the other."""
        self._check()
        connection = self._connection = (
            self._session.connection(self._engine) if self._session else self._engine.connection()
        )
        self._prepare(connection)
        if self._request.access is Access.READ:
            connection.check_read(self._statement)
        statement, params = self._statement, self._request.params
        if statement.data_at is not None:
            self._insert = connection.insert(statement.text, statement.format or DEFAULT_FORMAT, params)
        elif statement.kind is StatementKind.SELECT and self._streams():
            self._streaming = True
            self._pieces = self._stream(connection)
        else:
            self._pieces = iter((self._whole(connection),))
            if statement.word in ("SET", "USE"):
                connection.steered(statement.word)

    def begin(self) -> tuple[bytes, bool]:
        """Starts and pulls the first part, in one trip to a worker thread."""
        self.start()
        return self.pull()

    def append(self, data: bytes) -> None:
        """Takes the next piece of an INSERT's data."""
        assert self._insert is not None  # noqa: S101
        self._insert.append(data)

    def finish(self) -> None:
        """Commits an INSERT."""
        assert self._insert is not None  # noqa: S101
        self._insert.finish(self.progress)

    def pull(self) -> tuple[bytes, bool]:
        """The next part of the result, and whether it was the last."""
        parts: list[bytes] = []
        size = 0
        for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if size >= _PULL_BYTES and self._streaming:
                return b"".join(parts), False
        self.progress.elapsed_ns = time.monotonic_ns() - self._started
        self.close()
        return b"".join(parts), True

    def close(self) -> None:
        """Cancels what still runs and returns or closes the connection; the second time it does nothing."""
        if self.closed:
            return
        self.closed = True
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        if self._insert is not None:
            self._insert.cancel()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._session is None:
            connection.close()
            return

    def _check(self) -> None:
        request, permission = self._request, self._engine.permission
        permission.check_settings(request.settings)
        if request.user.access is Access.GUEST:
            permission.check_guest(self._statement, self.format, request.database, request.params)
        else:
            permission.check_owner(self._statement)

    def _prepare(self, connection: EngineConnection) -> None:
        # The comment is how a query whose client left is found again.
        settings = {"log_comment": self._request.query_id} | self._request.settings
        if self._statement.data_at is not None:
            settings.setdefault("async_insert", "0")  # answered means stored, and counted
            # Nobody judges what comes as a stream, so nothing in it is run.
            settings["input_format_values_interpret_expressions"] = "0"
            settings["input_format_values_deduce_templates_of_expressions"] = "0"
        if self._reframing is not None:
            settings[TYPES_IN_BINARY] = "1"
        if self._session is not None:
            # A SET must not meet, and keep, what other requests brought.
            connection.adopt({} if self._statement.word == "SET" else settings, self._request.database)
            return
        if self._request.access is not Access.FULL:
            settings = limited(settings) if self._request.access is Access.GUEST else settings
            settings["readonly"] = str(int(self._request.access))
        if self._request.database:
            connection.query(f"USE {identifier(self._request.database)}")
        connection.set(settings)

    def _streams(self) -> bool:
        array = self._request.settings.get("output_format_json_array_of_rows", "0")
        return self.format.lower() in _CONCATENABLE and array in ("0", "false") and not self._request.wait_end

    def _stream(self, connection: EngineConnection) -> Iterator[bytes]:
        try:
            for piece in connection.stream(self._statement.text, self.format, self._request.params):
                data: bytes = piece.bytes()
                self.progress.add(piece, len(data))
                yield self._reframed(data)
        except ServerError as error:
            # WITH may also open an INSERT.
            if not error.text.startswith("Streaming query is not supported"):
                raise
            yield self._whole(connection)

    def _whole(self, connection: EngineConnection) -> bytes:
        result = connection.query(self._statement.text, self.format, self._request.params)
        body: bytes = result.bytes()
        self.progress.add(result, len(body))
        return self._reframed(body)

    def _choose_reframing(self, request: QueryRequest, statement: Statement) -> Reframing | None:
        """How blocks are rewritten for the revision the client speaks; the engine itself writes revision 0 alone."""
        if self.format.lower() != "native" or not request.revision or statement.kind is StatementKind.INSERT:
            return None
        if TYPES_IN_BINARY.encode() in statement.text.lower():
            raise ServerError(
                BAD_ARGUMENTS, f"{TYPES_IN_BINARY} must be set by the URL when client_protocol_version is."
            )
        return reframing(request.revision, request.settings.get(TYPES_IN_BINARY, "0") in ("1", "true"))

    def _reframed(self, data: bytes) -> bytes:
        return data if self._reframing is None else self._reframing.reframe(data)
