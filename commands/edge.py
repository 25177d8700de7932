"""What every command does at its edge: settings, logging, and errors that say what to do."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import typer

from schemas import settings as settings_module
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

BAD_INPUT = 1
MISCONFIGURED = 2

DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]  # how a moment is written on the command line


@contextmanager
def explained() -> Iterator[None]:
    """Errors that say what to do, as a line on stderr and an exit code instead of a traceback."""
    try:
        yield
    except Misconfigured as error:
        print(f"sendlens: {error}", file=sys.stderr)
        raise typer.Exit(MISCONFIGURED) from None
    except Retry as error:
        print(f"sendlens: {error}; is it running? Try again", file=sys.stderr)
        raise typer.Exit(BAD_INPUT) from None


def read_settings(**overrides: Any) -> Settings:
    """The settings, with logging set up by them."""
    settings = settings_module.load(**overrides)
    _log(settings)
    return settings


def _log(settings: Settings) -> None:
    """Log to stdout, for eyes or for machines. Under honcho the time stands before every line already."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    libraries = max(level, logging.WARNING)
    logging.basicConfig(level=libraries, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    for chatty in ("urllib3", "clickhouse_connect", "kafka"):  # they report what we report better, as Retry
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if settings.log_format == "json":
        processors += [
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        if "HONCHO_PROCESS_NAME" not in os.environ:
            processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S"))
        # The rich traceback would print local variables, people among them.
        plain = structlog.dev.plain_traceback
        colors = sys.stdout.isatty()
        eyes = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False, exception_formatter=plain)
        processors.append(eyes)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
