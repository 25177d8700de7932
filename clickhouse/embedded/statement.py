"""Where a statement ends and its data begins, and which FORMAT it names; everything else is the engine's parser's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

_TOKEN = re.compile(
    rb"""
      (?P<blank>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<other>\d\w*|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FIRST_WORD = re.compile(rb"(?:\s+|--[^\n]*(?:\n|$)|\#[!\ ][^\n]*(?:\n|$)|/\*.*?\*/|\()*([A-Za-z_]\w*)?", re.DOTALL)
# After these words comes a name, even one spelled like a keyword.
_BEFORE_A_NAME: Final = frozenset({b"INTO", b"TABLE", b"FUNCTION", b"."})
_AFTER_A_FORMAT: Final = frozenset({b";", b"SETTINGS", b"INTO"})
_STOPS: Final = {b"SHUTDOWN": "SYSTEM SHUTDOWN", b"KILL": "SYSTEM KILL"}
_STREAMED: Final = frozenset({b"SELECT", b"WITH", b"FROM"})


class StatementKind(Enum):
    """How a statement has to be handed to the engine."""

    EMPTY = "empty"
    SELECT = "select"
    INSERT = "insert"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `text` for the engine, and for an INSERT with inline data the format and where the data begins.

    `data_at` is an offset into what was scanned, or None; `text` is then the INSERT without its FORMAT clause.
    `forbidden` names what must not reach the engine: INTO OUTFILE and FROM INFILE touch the server's files, and
    SYSTEM SHUTDOWN and KILL signal the whole process group, here that of everything started together.
    """

    kind: StatementKind
    word: str
    text: bytes
    format: str | None = None
    data_at: int | None = None
    forbidden: str = ""


def read_statement(source: bytes) -> Statement:
    """Finds the kind, format and data of the statement at the head of `source`."""
    first = _FIRST_WORD.match(source)
    word = (first.group(1) or b"").upper() if first else b""
    if not word:
        start = next(_tokens(source), (b"\0", 0, 0))[0]
        # To the engine's lexer NUL is the end of the query.
        return Statement(StatementKind.EMPTY if start in (b"\0", b";") else StatementKind.OTHER, "", source)
    if word == b"INSERT":
        return _read_insert(source)
    if word == b"SYSTEM":
        words = [text for text, _, _ in itertools.islice(_tokens(source), 2)]
        return Statement(StatementKind.OTHER, "SYSTEM", source, forbidden=_STOPS.get(words[-1], ""))
    kind = StatementKind.SELECT if word in _STREAMED else StatementKind.OTHER
    return Statement(kind, word.decode(), source, *_read_tail(source))


def words_of(source: bytes) -> Iterator[str]:
    """The words and quoted names of `source`; what stands in strings and comments is left out."""
    for text, _, _ in _tokens(source):
        if text[:1] not in (b"'", b"$"):
            yield text.decode("utf-8", "replace")


def _tokens(source: bytes, start: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Words in upper case, quoted parts as they are, single signs; blanks and comments left out."""
    for token in _TOKEN.finditer(source, start):
        if token.lastgroup != "blank":
            text = token.group()
            yield (text.upper() if token.group("word") else text), token.start(), token.end()


def _read_insert(source: bytes) -> Statement:
    depth = 0
    before = b""
    format_at: int | None = None
    for text, start, end in _tokens(source):
        if format_at is not None:
            return Statement(
                StatementKind.INSERT,
                "INSERT",
                source[:format_at],
                source[start:end].decode("latin-1"),
                _data_start(source, end),
            )
        if text in (b"(", b")"):
            depth += 1 if text == b"(" else -1
        elif before not in _BEFORE_A_NAME:
            if text in (b"SELECT", b"WITH") and depth <= 1:
                return Statement(StatementKind.INSERT, "INSERT", source, forbidden=_read_tail(source)[2])
            if depth == 0 and text == b"VALUES":
                return Statement(StatementKind.INSERT, "INSERT", source[:start], "Values", end)
            if depth == 0 and text == b"INFILE" and before == b"FROM":
                return Statement(StatementKind.INSERT, "INSERT", source, forbidden="FROM INFILE")
            if depth == 0 and text == b"FORMAT":
                format_at = start
        before = text
    return Statement(StatementKind.INSERT, "INSERT", source)


def _data_start(source: bytes, at: int) -> int:
    """Inline data begins after the format's line, or after the blanks when it is on the same line."""
    while source[at : at + 1] in (b" ", b"\t", b"\f", b";"):
        at += 1
    if source[at : at + 1] == b"\r":
        at += 1
    if source[at : at + 1] == b"\n":
        at += 1
    return at


def _read_tail(source: bytes) -> tuple[str | None, None, str]:
    """The FORMAT that closes a query, and its INTO OUTFILE clause if it has one."""
    lowered = source.lower()
    if b"format" not in lowered and b"outfile" not in lowered:
        return None, None, ""
    depth = 0
    named: bytes | None = None
    forbidden = ""
    last: list[bytes] = [b"", b""]
    for text, start, end in _tokens(source):
        if text in (b"(", b")"):
            depth += 1 if text == b"(" else -1
        if depth == 0:
            if text == b"OUTFILE" and last[1] == b"INTO":
                forbidden = "INTO OUTFILE"
            if last[1] == b"FORMAT" and last[0] != b"." and text[:1].isalpha():
                named = source[start:end]
            elif named is not None and last[0] == b"FORMAT" and text not in _AFTER_A_FORMAT:
                named = None
        last = [last[1], text]
    return (named.decode() if named else None), None, forbidden
