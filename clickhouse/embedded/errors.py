"""The error that a ClickHouse client expects: a numeric code, ClickHouse's own text and an HTTP status."""

from __future__ import annotations

import re
from typing import Final

# Codes this server raises by itself; the engine raises the rest. Source: ClickHouse, src/Common/ErrorCodes.cpp.
BAD_ARGUMENTS: Final = 36
TOO_LARGE_SIZE_COMPRESSED: Final = 39
CHECKSUM_DOESNT_MATCH: Final = 40
NOT_IMPLEMENTED: Final = 48
UNKNOWN_TABLE: Final = 60
SYNTAX_ERROR: Final = 62
UNKNOWN_TYPE_OF_QUERY: Final = 78
UNKNOWN_COMPRESSION_METHOD: Final = 89
UNKNOWN_SETTING: Final = 115
READONLY: Final = 164
QUERY_IS_TOO_LARGE: Final = 229
CANNOT_DECOMPRESS: Final = 271
INTO_OUTFILE_NOT_ALLOWED: Final = 358
SESSION_NOT_FOUND: Final = 372
SESSION_IS_LOCKED: Final = 373
INVALID_SESSION_TIMEOUT: Final = 374
ACCESS_DENIED: Final = 497
AUTHENTICATION_FAILED: Final = 516
STD_EXCEPTION: Final = 1001

NAMES: Final = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    TOO_LARGE_SIZE_COMPRESSED: "TOO_LARGE_SIZE_COMPRESSED",
    CHECKSUM_DOESNT_MATCH: "CHECKSUM_DOESNT_MATCH",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_TABLE: "UNKNOWN_TABLE",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_TYPE_OF_QUERY: "UNKNOWN_TYPE_OF_QUERY",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    READONLY: "READONLY",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    INTO_OUTFILE_NOT_ALLOWED: "INTO_OUTFILE_NOT_ALLOWED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    STD_EXCEPTION: "STD_EXCEPTION",
}

# Which code is whose fault. Source: ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
_STATUSES: Final[dict[int, tuple[int, ...]]] = {
    # arguments, parsing of values, syntax, types, ranges, shapes of the syntax tree
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    # unknown function, identifier, type, table, storage, format, database, engine, setting, role ...
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}
_STATUS_OF: Final = {code: status for status, codes in _STATUSES.items() for code in codes}

_CODE = re.compile(r"Code: (\d+)\. DB::\w*Exception: ")
# The engine wraps its own message once for each layer that passed it on.
_TAIL = re.compile(r"(?:\s*\(version [^)]*\)\.?|\s*\(([A-Z][A-Z0-9_]+)\)\.?)+\s*$")


class ServerError(Exception):
    """A refusal that reaches the client as `Code: N. DB::Exception: text (NAME)` with ClickHouse's HTTP status.

    `logged` is what the log has of it where the text repeats what the client sent.
    """

    def __init__(self, code: int, text: str, name: str | None = None, *, logged: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.logged = text if logged is None else logged
        self.name = name or NAMES.get(code, "STD_EXCEPTION")

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse gives to this code; 500 for every code it does not list."""
        return _STATUS_OF.get(self.code, 500)

    def message(self, version: str) -> str:
        """The text of the response body, in the shape every ClickHouse client parses."""
        return f"Code: {self.code}. DB::Exception: {self.text} ({self.name}) (version {version} (embedded))\n"


def _text(error: BaseException) -> str:
    """What chDB said. Where its message quotes bytes that are not UTF-8, chDB fails to decode its own message; the
    bytes are then in the cause."""
    undecoded: BaseException | None = error
    while undecoded is not None and not isinstance(undecoded, UnicodeDecodeError):
        undecoded = undecoded.__cause__ or undecoded.__context__
    return str(error) if undecoded is None else undecoded.object.decode("utf-8", "replace")


def from_engine(error: BaseException) -> ServerError:
    """Reads the code, the text and the name out of what chDB raised; an error without a code is STD_EXCEPTION."""
    raw = _text(error)
    found = _CODE.search(raw)
    if found is None:
        return ServerError(STD_EXCEPTION, raw.strip() or type(error).__name__)
    text = raw[found.end() :]
    while (inner := _CODE.match(text)) is not None:
        text = text[inner.end() :]
    tail = _TAIL.search(text)
    name = None
    if tail is not None:
        name = tail.group(1)
        text = text[: tail.start()]
    return ServerError(int(found.group(1)), text.strip(), name)
