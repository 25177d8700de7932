"""Serve an ingest application by Granian until SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
import resource
from importlib import import_module
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from schemas.errors import Misconfigured
from schemas.settings import Settings

# Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
_BACKLOG = 4096
# Connections served at once. Mail clients keep theirs open for the next image, so this is far above requests at once.
_CONNECTIONS = 16_384
# Open files that are kept for all else: the spool, Kafka, ClickHouse.
_OTHER_FILES = 512
# How long a client may take over a request's head, in milliseconds.
_HEAD_MS = 15_000
# Longer than the application takes to hand the last hits to Kafka, in seconds.
_STOP_SECONDS = 15


def serve(settings: Settings, target: str) -> None:
    """Run the application that `target` ("module:function") makes, one worker process. Returns when stopped.
    Raises Misconfigured where it can't listen.

    Stopping: what still comes is answered (`ingest/drain.py`); then there are no new connections, running requests are
    answered, and the application's lifespan hands what it holds to Kafka. Who sends nothing is disconnected: a head by
    Granian, also between two requests, a body by `ingest/bodies.py`. So connections beyond those served at once wait
    in the backlog until slow ones are closed.
    """
    server = Granian(
        target,
        address=settings.ingest_host,
        port=settings.ingest_port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_MS, keep_alive=True),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_connections(),
        log_access=False,  # a path holds a token, and a line would hold an address
        log_level=LogLevels.warning,
        workers_kill_timeout=_STOP_SECONDS,
    )
    try:
        server.serve(target_loader=_application)
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        if "os error" not in said:
            raise
        place = f"{settings.ingest_host}:{settings.ingest_port}"
        raise Misconfigured(
            f"SENDLENS_INGEST_HOST, SENDLENS_INGEST_PORT: {place}: {said}: choose another port, or end what has it"
        ) from None


def _application(target: str) -> Any:
    """What `module:function` makes. Granian's own loader looks for modules in the working directory first, where a data
    folder's `clickhouse/store` hides ours."""
    module, _, function = target.partition(":")
    return getattr(import_module(module), function)()


def _connections() -> int:
    """How many connections to serve at once: each is an open file, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    granted = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    return max(granted - _OTHER_FILES, granted // 2)
