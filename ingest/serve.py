"""Serve an ingest application by Granian until SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
import resource

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from schemas.settings import Settings

# Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
_BACKLOG = 4096
# Connections served at once. Mail clients keep theirs open for the next image, so this is far above requests at once.
_CONNECTIONS = 16_384
# How long a client may take over a request's head, in milliseconds.
_HEAD_MS = 15_000
# Longer than the application takes to hand the last hits to Kafka, in seconds.
_STOP_SECONDS = 15


def serve(settings: Settings, target: str) -> None:
    """Run the application that `target` ("module:function") makes, one worker process. Returns when stopped.

    Stopping: no new connections, running requests are answered, then the application's lifespan hands what it holds
    to Kafka.
    """
    _raise_open_files()
    Granian(
        target,
        address=settings.ingest_host,
        port=settings.ingest_port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_MS, keep_alive=True),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_CONNECTIONS,
        log_access=False,  # a path holds a token, and a line would hold an address
        log_level=LogLevels.warning,
        workers_kill_timeout=_STOP_SECONDS,
    ).serve()


def _raise_open_files() -> None:
    """Every connection is an open file, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
