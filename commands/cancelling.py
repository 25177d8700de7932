"""Ctrl-C that ends the process at once, for a command that leaves nothing half done."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

CANCELLED = 130  # what a shell gives a command that Ctrl-C ended


def end_at_ctrl_c() -> None:
    """From here on Ctrl-C says so and ends this process, whatever it is about; what it has open, the system closes.

    An exception would be raised wherever the interpreter happens to be: in the `finally` of a library, where another
    takes its place, or in a callback of the garbage collector, where it is printed and forgotten.
    """
    signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
    away = b"\r\x1b[K" if os.isatty(2) else b""  # a line of progress
    with suppress(OSError):
        os.write(2, away + b"sendlens: cancelled\n")  # not print, in whose midst we may be
    os._exit(CANCELLED)
