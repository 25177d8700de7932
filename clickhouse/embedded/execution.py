"""One query from its connection to its last byte. Everything here blocks and runs on a worker thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import SYNTAX_ERROR, ServerError
from clickhouse.embedded.link import Access, Insert, Link, Progress, identifier
from clickhouse.embedded.request import Request
from clickhouse.embedded.sessions import Session
from clickhouse.embedded.statement import Kind, Statement

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

    def __init__(self, engine: Engine, request: Request, statement: Statement, session: Session | None) -> None:
        self.progress = Progress()
        self.closed = False
        self.format = statement.format or request.default_format or DEFAULT_FORMAT
        self._engine = engine
        self._request = request
        self._statement = statement
        # Nothing a readonly user may do outlives the query, so those sessions need no connection of their own,
        # and `readonly`, which cannot be lowered again, never meets a shared one.
        self._session = session if request.user.access is Access.FULL else None
        self._link: Link | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._streaming = False
        self._insert: Insert | None = None
        self._started = time.monotonic_ns()

    def start(self) -> None:
        """Prepares the connection and hands the statement to the engine."""
        link = self._link = self._session.link(self._engine) if self._session else self._engine.link()
        self._prepare(link)
        link.check_access(self._request.access, self._statement)
        statement, params = self._statement, self._request.params
        if statement.data_at is not None:
            self._insert = link.insert(statement.text, statement.format or DEFAULT_FORMAT, params)
        elif statement.kind is Kind.SELECT and self._streams():
            self._streaming = True
            self._pieces = self._stream(link)
        else:
            # Only a stream refuses several statements by itself. Inline data is not for the parser to judge.
            if statement.kind is not Kind.INSERT and link.statement_count(statement.text) > 1:
                raise ServerError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
            self._pieces = iter((self._whole(link),))
            if statement.word in ("SET", "USE"):
                link.steered(statement.word)

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
        link, self._link = self._link, None
        if link is None:
            return
        if self._session is None:
            link.close()
            return

    def _prepare(self, link: Link) -> None:
        # The comment is how a query whose client left is found again.
        settings = {"log_comment": self._request.query_id} | self._request.settings
        if self._statement.data_at is not None:
            settings.setdefault("async_insert", "0")  # answered means stored, and counted
        if self._session is not None:
            # A SET must not meet, and keep, what other requests brought.
            link.adopt({} if self._statement.word == "SET" else settings, self._request.database)
            return
        if self._request.access is not Access.FULL:
            settings["readonly"] = str(int(self._request.access))
        if self._request.database:
            link.query(f"USE {identifier(self._request.database)}")
        link.set(settings)

    def _streams(self) -> bool:
        array = self._request.settings.get("output_format_json_array_of_rows", "0")
        return self.format.lower() in _CONCATENABLE and array in ("0", "false") and not self._request.wait_end

    def _stream(self, link: Link) -> Iterator[bytes]:
        try:
            for piece in link.stream(self._statement.text, self.format, self._request.params):
                data: bytes = piece.bytes()
                self.progress.add(piece, len(data))
                yield data
        except ServerError as error:
            # WITH may also open an INSERT.
            if not error.text.startswith("Streaming query is not supported"):
                raise
            yield self._whole(link)

    def _whole(self, link: Link) -> bytes:
        result = link.query(self._statement.text, self.format, self._request.params)
        body: bytes = result.bytes()
        self.progress.add(result, len(body))
        return body
