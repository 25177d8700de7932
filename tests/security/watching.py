"""What a process does to the machine, as the machine sees it: files opened in a folder, connections to a port."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# linux/inotify.h: a file was read, written, opened, created or moved there.
_ANYTHING: Final = 0x1 | 0x2 | 0x20 | 0x100 | 0x80


class Folder:
    """A folder of which every opening, by any process, is noticed (inotify)."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._notices = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._notices < 0 or libc.inotify_add_watch(self._notices, os.fsencode(path), _ANYTHING) < 0:
            raise OSError(ctypes.get_errno(), "inotify does not watch", str(path))

    def was_touched(self) -> bool:
        """Whether anything happened since the last question."""
        try:
            return bool(os.read(self._notices, 1 << 16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Ends the watch."""
        os.close(self._notices)


class Port:
    """A port of the loopback that hangs up on every caller, and counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.number: int = self._listener.getsockname()[1]
        self.calls = 0
        self._thread = threading.Thread(target=self._hang_up, daemon=True)
        self._thread.start()

    def _hang_up(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            caller.close()

    def close(self) -> None:
        """Stops listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def watched(path: Path) -> Iterator[Folder]:
    """Watches a folder while the block runs."""
    folder = Folder(path)
    try:
        yield folder
    finally:
        folder.close()
