"""Wake-ups among the processes of one machine: who has written to a topic wakes those who read it.

The broker in memory is asked by polling, and of a state topic any broker is asked where it ends. Several times a
second, for each of two dozen readers, that is half a core for nothing. So readers rest longer and longer while nothing
comes, and a wake-up ends the rest. One that is lost costs no record, and no more time than a rest.

A reader's process has a datagram socket in the data folder, which is closed to other users. A datagram holds names of
topics. In a cluster there are none: readers poll there as often as ever.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import structlog

from schemas.settings import Settings
from schemas.topics import Topic

log = structlog.get_logger()

_FOLDER = "wakeups"
_DATAGRAM_BYTES = 4096
# A topic is woken for so often at the most, by each process. Who was woken asks again within 0.2 s, unasked.
_AGAIN_SECONDS = 0.1

Hear = Callable[[], object]


class WakeUps:
    """The wake-ups of one data folder, for one process. All of it may be called by any thread.

    Without a folder nothing is told and nobody is heard.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._hearers: dict[Hear, frozenset[str]] = {}
        self._woken: dict[str, float] = {}
        self._name = ""
        self._sender: socket.socket | None = None

    def listen(self, topics: Collection[Topic], hear: Hear) -> bool:
        """Call `hear`, from any thread, when one of the topics was written to. False where nobody would tell: then
        the caller must ask by itself as often as it wants to know."""
        with self._lock:
            if not self._name and not self._open():
                return False
            self._hearers[hear] = frozenset(topic.name for topic in topics)
            return True

    def leave(self, hear: Hear) -> None:
        """Call it no more."""
        with self._lock:
            if self._hearers.pop(hear, None) is None or self._hearers or self._folder is None:
                return
            name, self._name = self._name, ""
            with contextlib.suppress(OSError):
                self._send(b"", [name])  # ends the thread
                (self._folder / name).unlink()

    def wake(self, topics: Iterable[Topic]) -> None:
        """Wake who reads these topics, in this process and the others. Call it when the broker has the records."""
        if self._folder is None:
            return
        now = self._clock()
        due = {topic.name for topic in topics if now - self._woken.get(topic.name, float("-inf")) >= _AGAIN_SECONDS}
        if not due:
            return
        self._woken.update(dict.fromkeys(due, now))
        self._tell(due)
        with contextlib.suppress(OSError):  # nobody has listened yet
            others = [entry.name for entry in self._folder.iterdir() if entry.name != self._name]
            self._send(" ".join(due).encode(), others)

    def _open(self) -> bool:
        """Listen from now on; False where that can't be."""
        if self._folder is None or not self._folder.parent.is_dir():
            return False
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with _short(self._folder) as folder:
                receiver.bind(f"{folder}/{name}")
        except OSError as error:
            receiver.close()
            log.info("readers of this process are not woken, they ask often", folder=str(self._folder), why=str(error))
            return False
        self._name = name
        threading.Thread(target=self._receive, args=(receiver,), name="wakeups", daemon=True).start()
        return True

    def _receive(self, receiver: socket.socket) -> None:
        with receiver:
            while said := receiver.recv(_DATAGRAM_BYTES):
                self._tell(set(said.decode("ascii", "replace").split()))

    def _tell(self, names: set[str]) -> None:
        for hear, wanted in list(self._hearers.items()):
            if not wanted.isdisjoint(names):
                hear()

    def _send(self, said: bytes, names: Iterable[str]) -> None:
        """Send to each; one whose process is gone is removed. Raises OSError when the folder is gone."""
        if self._folder is None:
            return
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        with _short(self._folder) as folder:
            for name in names:
                try:
                    self._sender.sendto(said, f"{folder}/{name}")
                except ConnectionRefusedError:
                    (self._folder / name).unlink(missing_ok=True)
                except (BlockingIOError, FileNotFoundError):
                    continue  # it has enough of them unread, or has just left


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A path of the folder that leaves room for a name: that of a socket has 108 bytes at the most (unix(7))."""
    if sys.platform != "linux":
        yield str(folder)
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)


_all: dict[Path | None, WakeUps] = {}
_lock = threading.Lock()


def wake_ups(settings: Settings) -> WakeUps:
    """Those of this installation: one for the process, because many share a socket."""
    folder = settings.data_dir.absolute() / _FOLDER if settings.mode == "embedded" else None
    with _lock:
        return _all.setdefault(folder, WakeUps(folder))
