"""`sendlens sql`: ask ClickHouse as the user `reader`, who may change nothing."""

from __future__ import annotations

import codecs
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Self, TextIO

import typer

from commands.cancelling import end_at_ctrl_c
from commands.edge import BAD_INPUT, explained, read_settings
from schemas.errors import Misconfigured, Reject
from schemas.running import running_clickhouse
from schemas.settings import Settings

TABLE = "PrettyCompactMonoBlock"
_PROGRESS_SECONDS = 0.2
# What a terminal would obey instead of show: control characters, and those that turn the direction of text.
_OBEYED = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"} | dict.fromkeys(
    [*range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"
)

Param = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A value for {NAME:Type} in the query; may be repeated."),
]


def sql(
    query: Annotated[
        str | None, typer.Argument(help="The query. Left out: read from --file or standard input.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", help="Any of ClickHouse's: CSVWithNames, JSONEachRow, Parquet, ...")
    ] = TABLE,
    param: Param = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Read the query from this file.")
    ] = None,
    dsn: Annotated[
        bool, typer.Option("--dsn", help="Print where Grafana, DBeaver and Metabase connect to, password included.")
    ] = False,
) -> None:
    """Ask ClickHouse, as the user `reader` who may change nothing. Ctrl-C stops the query."""
    end_at_ctrl_c()  # ClickHouse stops the query of a client that has hung up
    with explained():
        from clickhouse.console import ConsoleAddress, ask

        settings = read_settings()
        address = ConsoleAddress.of(settings, _running(settings))
        if dsn:
            for name, value in address.rows():
                print(f"{name:<8}  {value}")
            return
        pieces = ask(address, _query(query, file), format, dict(_pair(given) for given in param or []))
        try:
            _show(pieces)
        except Reject as refused:
            print(f"sendlens: {refused.detail}", file=sys.stderr)
            raise typer.Exit(BAD_INPUT) from None
        except BrokenPipeError:  # the reader closed the pipe, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _running(settings: Settings) -> str:
    """The address of this machine's running stack, unless the operator gives another."""
    if settings.mode == "cluster" or "clickhouse_url" in settings.model_fields_set:
        return settings.clickhouse_url
    return running_clickhouse(settings.data_dir) or settings.clickhouse_url


def _query(query: str | None, file: Path | None) -> str:
    if query is not None and file is not None:
        raise Misconfigured("give either a query or --file")
    if query is None and file is None and sys.stdin.isatty():
        raise Misconfigured('say what to ask: sendlens sql "SELECT count() FROM v_outcomes"')
    try:
        text = query if query is not None else file.read_text() if file is not None else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the query can't be read: {error}") from None
    if not text.strip():
        raise Misconfigured("the query is empty")
    return text


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name.isidentifier():
        raise Misconfigured(f"--param {given}: write NAME=VALUE")
    return name, value


def _show(pieces: Generator[bytes, None, None]) -> None:
    """Writes an answer to standard output as it comes; a terminal gets nothing that it would obey."""
    out = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with closing(pieces), _ProgressLine(sys.stderr) as progress:
        for piece in pieces:
            progress.received(len(piece))
            if is_terminal:
                if b"\0" in piece:
                    raise Misconfigured("this format is not for a terminal: send it to a file with > FILE")
                progress.stop()
                piece = decoder.decode(piece).translate(_OBEYED).encode()
            out.write(piece)
            out.flush()


class _ProgressLine:
    """A line on a terminal of how long the query takes and how much has come; nothing elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started = time.monotonic()
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True) if out.isatty() else None

    def received(self, size: int) -> None:
        self._bytes += size

    def stop(self) -> None:
        """Takes the line away."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._out.write("\r\x1b[K")
            self._out.flush()

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        was_shown = self._out.isatty()
        self.stop()
        if was_shown:
            print(self._line(), file=self._out)

    def _run(self) -> None:
        while not self._ended.wait(_PROGRESS_SECONDS):
            self._out.write(f"\r{self._line()}\x1b[K")
            self._out.flush()

    def _line(self) -> str:
        return f"{time.monotonic() - self._started:.1f} s, {self._bytes:,} bytes"
