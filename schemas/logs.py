"""Log entries that nobody outside can write: an entry is one line, and a traceback stands indented beneath it."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from textwrap import indent
from typing import Any

import structlog

from schemas.text import one_line, some_lines

log = structlog.get_logger()

# An entry of a library that says what it said less than so many seconds ago is counted, not written: without a broker
# each of its connections complains several times a second.
_REPEATED_SECONDS = 60.0
_MOST_KNOWN = 500  # different entries whose last time is remembered
_LONGEST = 500  # characters of a library's message
_NUMBER = re.compile(r"\d+|0x[0-9a-f]+")
# Errors of what stands around us, by the name of a class above theirs: an operator mends the cause, and a traceback
# through a library says nothing about it.
_OUTSIDE = frozenset(
    {"OSError", "KafkaError", "ClickHouseError", "TimeoutError", "ConnectionError", "ProducerSendError"}
)


def beneath(traceback: str) -> str:
    """A traceback's lines, none of which can be taken for an entry: its message may be a stranger's text."""
    return indent(some_lines(traceback), "  ", lambda line: True)


class EscapingFormatter(logging.Formatter):
    """What libraries and the embedded database log, which repeat what servers and clients said."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return beneath(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return beneath(super().formatStack(stack_info))


class LibraryEntries(logging.Handler):
    """Writes what libraries log as entries of ours: with time, level and the library's name, as JSON where ours are.

    What a library repeats within a minute is left out; `repeated` of its next entry says how often. An error of what
    stands around us is a line with `why`; any other keeps its traceback.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._known: dict[tuple[str, int, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()[:_LONGEST].strip()
            repeated = self._repeated(record, message)
            if repeated is None:
                return
            more: dict[str, Any] = {"repeated": repeated} if repeated else {}
            error = record.exc_info[1] if record.exc_info else None
            if error is not None and is_outside(error):
                more["why"] = _why(error)
            elif error is not None:
                more["exc_info"] = record.exc_info
            log.log(record.levelno, message, library=record.name, **more)
        except Exception:
            self.handleError(record)

    def _repeated(self, record: logging.LogRecord, message: str) -> int | None:
        """How many entries like this were left out before it; None when it is to be left out as well."""
        key = record.name, record.levelno, _NUMBER.sub("#", message)
        now = self._clock()
        at, left_out = self._known.get(key, (None, 0))
        if at is not None and now - at < _REPEATED_SECONDS:
            self._known[key] = at, left_out + 1
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = now, 0
        return left_out


def is_outside(error: BaseException) -> bool:
    """Whether it is an error of what stands around us: a network, a broker, a database."""
    return any(each.__name__ in _OUTSIDE for each in type(error).__mro__)


def log_what_ends_us() -> None:
    """Have an error that nothing catches logged as an entry, in a thread too, instead of printed."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        elif is_outside(error):
            log.critical("ended by an error", why=_why(error))
        else:
            log.critical("ended by an error", exc_info=(kind, error, trace))

    sys.excepthook = hook


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")[:_LONGEST]
