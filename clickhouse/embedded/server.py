"""The embedded ClickHouse as a process: opens the engine, serves it, closes it whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
import uvloop

from clickhouse.embedded.app import EmbeddedServer
from clickhouse.embedded.engine import Engine
from clickhouse.embedded.host_check import HostCheck
from clickhouse.embedded.http_connection import HttpConnection
from clickhouse.embedded.login import Accounts, User

# How long running queries may take to notice that the server stops.
_GRACE_SECONDS: Final = 2


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: it would die of the signal instead of ending cleanly."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """End cleanly, at once."""
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """Keep the time of the Date header. uvicorn does it each second too, and looks ten times whether to stop."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._told.wait()


def serve(host: str, port: int, path: Path, *, users: Iterable[User], hosts: Iterable[str] = ()) -> None:
    """Serves the data directory `path` to `users` over ClickHouse's HTTP interface until SIGTERM or SIGINT.

    It answers as loopback's names, as `host` and as `hosts`. Raises EngineError when the directory cannot be used,
    OSError when the address cannot be bound.
    """
    os.umask(0o077)
    accounts, host_check = Accounts(users), HostCheck([host, *hosts])
    # Bound first: a port in use must not cost the opening of the engine.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=1024)
    # Inherited by every connection; without it each answer waits 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        engine = Engine(path)
    except BaseException:
        listener.close()
        raise
    app = EmbeddedServer(engine, accounts, host_check)
    # That is how a response that failed midway ends; the failure itself has been logged.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing" not in record.getMessage())
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    try:
        print(f"clickhouse: ready on http://{host}:{port} (chDB {engine.version}, data in {path})", flush=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_until_told(_Server(config), app, listener))
    finally:
        _give_up_after(5 * _GRACE_SECONDS)
        app.close()
        engine.close()


async def _serve_until_told(server: _Server, app: EmbeddedServer, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    keeping_house = loop.create_task(app.keep_house())
    try:
        await server.serve(sockets=[listener])
    finally:
        keeping_house.cancel()


def _give_up_after(seconds: int) -> None:
    """The engine writes as it goes, so a query that will not stop must not keep the process alive."""

    def leave() -> None:
        print("clickhouse: a query would not stop; leaving without it", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
