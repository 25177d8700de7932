"""What libraries log, as entries of ours."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable

import pytest
import structlog

from commands.edge import _log
from schemas.logs import LibraryEntries
from schemas.settings import Settings

Entries = Callable[[], list[dict[str, object]]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def library(clock: Clock) -> logging.Logger:
    logger = logging.Logger("aiokafka.consumer")
    logger.addHandler(LibraryEntries(clock))
    return logger


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Entries:
    """The lines of JSON that were logged since it was asked last."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "stdout", out)
    root = logging.getLogger()
    before = root.handlers[:]
    _log(Settings(_env_file=None, log_format="json"))  # type: ignore[call-arg]
    root.handlers[:] = before
    logging.captureWarnings(False)

    def read() -> list[dict[str, object]]:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        return [json.loads(line) for line in text.splitlines()]

    return read


def test_a_line_of_a_library_has_its_time_its_level_and_its_name(library: logging.Logger, entries: Entries) -> None:
    library.error("Unable connect to node with id %s", 3)
    (entry,) = entries()
    assert entry["timestamp"]
    assert (entry["level"], entry["library"]) == ("error", "aiokafka.consumer")
    assert entry["event"] == "Unable connect to node with id 3"


def test_what_is_repeated_within_a_minute_is_counted_and_not_written(
    library: logging.Logger, clock: Clock, entries: Entries
) -> None:
    for node in range(9000):
        library.error("Unable connect to node with id %s", node)
    library.warning("Unable connect to node with id %s", 1)
    library.error("something else")
    assert [entry["event"] for entry in entries()] == [
        "Unable connect to node with id 0", "Unable connect to node with id 1", "something else",
    ]  # fmt: skip
    clock.now = 61
    library.error("Unable connect to node with id %s", 7)
    (again,) = entries()
    assert again["repeated"] == 8999
    clock.now = 130
    library.error("Unable connect to node with id %s", 7)
    (later,) = entries()
    assert "repeated" not in later


def test_what_is_remembered_of_messages_is_bounded(library: logging.Logger) -> None:
    handler = library.handlers[0]
    assert isinstance(handler, LibraryEntries)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for number in range(3000):
        library.error("no %s", "x" * number)
    assert len(handler._known) <= 500


def test_an_error_from_outside_is_a_line_and_a_fault_of_the_program_keeps_its_traceback(
    library: logging.Logger, entries: Entries
) -> None:
    try:
        raise ConnectionRefusedError(111, "Connection refused")
    except OSError:
        library.exception("Heartbeat failed")
    try:
        raise KeyError("bug")
    except KeyError:
        library.exception("Task failed")
    outside, ours = entries()
    assert outside["why"] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert "exception" not in outside
    assert "KeyError: 'bug'" in str(ours["exception"])


def test_an_error_that_ends_the_process_is_an_entry_too(entries: Entries) -> None:
    error = OSError(28, "No space left on device")
    sys.excepthook(type(error), error, None)
    (entry,) = entries()
    assert (entry["level"], entry["why"]) == ("critical", "OSError: [Errno 28] No space left on device")
