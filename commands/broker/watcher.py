"""Keeps a broker running that this process has started, and ends it whatever happens to this process."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import time
from collections.abc import Callable, Sequence

import structlog

from schemas.errors import Misconfigured

log = structlog.get_logger()

# A broker that ends soon after its start is started again later and later.
_SOON_SECONDS = 60.0
_LONGEST_WAIT = 30.0
_LOOK_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


async def watch(name: str, command: Sequence[str], port: int) -> None:
    """Run the command until SIGTERM or SIGINT, which end it; start it again when it ends by itself.

    `port` is where it listens on loopback once it is ready. Raises Misconfigured when it ends before it first was.
    """
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    stop = asyncio.create_task(asked.wait())
    wait, was_ready = 0.0, False
    while not asked.is_set():
        started = time.monotonic()
        child = await asyncio.create_subprocess_exec(*command, preexec_fn=_end_with_us())
        ended = asyncio.create_task(child.wait())
        if await _is_ready(port, ended, stop):
            log.info("broker is ready", broker=name, seconds=round(time.monotonic() - started, 1), pid=child.pid)
            was_ready = True
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            child.terminate()
        code = await ended
        if asked.is_set():
            return
        if not was_ready:
            raise Misconfigured(
                f"{name} ended before it was ready (exit code {code}); its own words stand above. Does another run in "
                "this data folder?"
            )
        wait = 0.0 if time.monotonic() - started > _SOON_SECONDS else min(_LONGEST_WAIT, max(1.0, 2 * wait))
        log.warning("broker ended, starting it again", broker=name, code=code, wait=wait)
        await asyncio.wait({stop}, timeout=wait)


async def _is_ready(port: int, ended: asyncio.Task[int], stop: asyncio.Task[bool]) -> bool:
    """Wait until somebody listens there; False when the broker ends, or is to end, before."""
    while not ended.done() and not stop.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.wait({ended, stop}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            continue
        writer.close()
        return True
    return False


def _end_with_us() -> Callable[[], None] | None:
    """What has Linux kill the child when this process is killed; elsewhere there is no such thing."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded here: after the fork nothing should be

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
