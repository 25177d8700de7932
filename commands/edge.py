"""What every command does at its edge: read settings, set up logging, and report errors with their remedy."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from io import StringIO
from typing import Any, TextIO

import structlog
import typer

from schemas import settings as settings_module
from schemas.errors import Misconfigured, Retry
from schemas.logs import LibraryEntries, beneath, log_what_ends_us
from schemas.settings import Settings
from schemas.text import one_line, some_lines

BAD_INPUT = 1
MISCONFIGURED = 2

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]  # how a moment is written on the command line


@contextmanager
def explained() -> Iterator[None]:
    """Errors that say what to do, as a line on stderr and an exit code instead of a traceback."""
    try:
        yield
    except Misconfigured as error:
        print(f"sendlens: {some_lines(str(error))}", file=sys.stderr)
        raise typer.Exit(MISCONFIGURED) from None
    except Retry as error:
        print(f"sendlens: {some_lines(str(error))}; is it running? Try again", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from None


def read_settings(**overrides: Any) -> Settings:
    """The settings, with logging set up by them.

    Embedded, what this process and its children write is its owner's alone.
    """
    settings = settings_module.load(**overrides)
    if settings.mode == "embedded":
        os.umask(0o077)
    _log(settings)
    return settings


def _harmless(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Log to stderr, one line an entry and without terminal control characters, so that input can't forge entries."""
    return {name: one_line(value) if isinstance(value, str) else value for name, value in event.items()}


def _plain_traceback(out: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Not the rich one, which would print local variables, people among them."""
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    out.write(beneath(text.getvalue()))


def _log(settings: Settings) -> None:
    """Log to stdout, for eyes or for machines. Under honcho the time stands before every line already."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    libraries = max(level, logging.WARNING)
    logging.basicConfig(level=libraries, handlers=[LibraryEntries()])
    logging.captureWarnings(True)
    log_what_ends_us()
    for chatty in ("urllib3", "clickhouse_connect", "kafka"):  # they report what we report better, as Retry
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _harmless]
    if settings.log_format == "json":
        processors += [
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        if "HONCHO_PROCESS_NAME" not in os.environ:
            processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S"))
        colors = sys.stdout.isatty()
        eyes = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=0, pad_level=False, exception_formatter=_plain_traceback
        )
        processors.append(eyes)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
