"""The file of a grant's tokens: `VARIABLE.json` in the folder of SENDLENS_ACCESS_TOKENS_DIR, mode 0600, replaced whole.

All processes that share the folder share its tokens, and one of them at a time asks for new ones: it holds the lock of
the file beside it, which dies with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from oauth2.kept_tokens import KeptTokens
from schemas.data_folder import read_secret
from schemas.errors import UNREADABLE

log = structlog.get_logger()

_POLL_SECONDS = 0.05


class TokenFile:
    """The tokens of the grant of this name. `folder` is made when something is kept."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = f"{name}.json"
        self._lock = folder / f"{name}.lock"

    @property
    def path(self) -> Path:
        return self._folder / self._name

    def read(self) -> KeptTokens | None:
        """What is kept, None for nothing. Raises Misconfigured when others can read the file, or we can't."""
        text = read_secret(self._folder, self._name)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=KeptTokens)
        except UNREADABLE:
            log.warning("kept tokens can't be read: the refresh token of the environment is used", path=str(self.path))
            return None

    def write(self, kept: KeptTokens) -> None:
        """Keep this; after it not even a power cut takes a new refresh token back. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = self._folder / f"{self._name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(kept) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            mine.rename(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                mine.unlink()
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def locked(self, patience: float) -> Iterator[bool]:
        """Whether this thread alone may ask for tokens, after waiting so many seconds at the most for the others.

        Where no lock can be made, because the folder can't be written to, nobody is waited for.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            file = None
        try:
            yield file is None or _flocked(file, time.monotonic() + patience)
        finally:
            if file is not None:
                os.close(file)


def _flocked(file: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        except OSError:  # a file system without locks
            return True
        else:
            return True
