"""The data folder: closed to everybody but its owner, with the secrets that were made for this installation.

Each secret is a file of its own, made once. What others could read is no secret, and what others could write is not
ours, so both are refused instead of used.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from schemas.errors import Misconfigured

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def close_to_others(folder: Path) -> None:
    """Makes a data folder that is there its owner's alone, mode 0700; earlier versions left it open to look into.

    Raises Misconfigured where it is somebody else's, or shared by design as /tmp is.
    """
    try:
        there = folder.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(folder, error) from None
    if not stat.S_ISDIR(there.st_mode):
        raise Misconfigured(f"SENDLENS_DATA_DIR: {folder} is not a folder")
    _refuse_strangers(folder, there)
    if there.st_mode & stat.S_ISVTX:
        raise Misconfigured(f"SENDLENS_DATA_DIR: {folder} is shared with others: name a folder within it")
    if there.st_mode & _OTHERS:
        try:
            folder.chmod(stat.S_IMODE(there.st_mode) & ~_OTHERS)
        except OSError as error:
            raise _unusable(folder, error) from None


def read_secret(folder: Path, name: str) -> str | None:
    """The secret of this name, None where none was made. Raises Misconfigured when it is no secret or can't be read."""
    path = folder / name
    try:
        with path.open("rb") as file:
            _refuse_strangers(path, os.fstat(file.fileno()))
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise Misconfigured(
                    f"SENDLENS_DATA_DIR: others can read {path}: `chmod 600 {path}`; if somebody may have done so, "
                    "replace the secret in it too"
                )
            text = file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    if not text:
        raise Misconfigured(f"SENDLENS_DATA_DIR: {path} is empty: restore it, or remove it and a new one is made")
    return text


def keep_secret(folder: Path, name: str, make: Callable[[], str]) -> str:
    """The secret of this name, made now if there is none.

    Several processes may start at once: the first to link wins. Raises Misconfigured as `read_secret` does.
    """
    kept = read_secret(folder, name)
    if kept is not None:
        return kept
    path = folder / name
    mine = folder / f"{name}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{make()}\n")
            file.flush()
            os.fsync(file.fileno())  # its name must not outlive its content
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    except OSError as error:
        raise _unusable(folder, error) from None
    return read_secret(folder, name) or keep_secret(folder, name, make)


def replace_secret(folder: Path, name: str, text: str) -> Path:
    """Make `text` the secret of this name, whole or not at all; returns the file in which the old one is kept."""
    path, old = folder / name, folder / f"{name}.{secrets.token_hex(4)}.old"
    mine = folder / f"{name}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        old.hardlink_to(path)
        mine.rename(path)
    except OSError as error:
        raise _unusable(folder, error) from None
    return old


def _refuse_strangers(path: Path, there: os.stat_result) -> None:
    if there.st_uid != os.geteuid():
        raise Misconfigured(
            f"SENDLENS_DATA_DIR: {path} belongs to the user {there.st_uid} and this runs as {os.geteuid()}: run as its "
            "owner, or give the data folder to this user with `chown -R`"
        )


def _unusable(path: Path, error: OSError) -> Misconfigured:
    return Misconfigured(f"SENDLENS_DATA_DIR: {path} can't be used ({error.strerror})")
