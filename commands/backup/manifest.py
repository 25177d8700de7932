"""The manifest of a backup: written last, so that a folder without one is half a backup and is refused.

It has the size and SHA-256 of every other file of the folder, the rows of every table, the migrations that the
database had, and fingerprints of the token keys: all that `restore` compares before it changes anything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from schemas.errors import Misconfigured

NAME = "manifest.json"
FORMAT = 1
_CHUNK = 1 << 20


class FileSum(msgspec.Struct, frozen=True):
    """A file of the backup: how long it is, and its SHA-256."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    `began_at` is ClickHouse's clock before the first table was read: what was written later may be in it in part.
    `clickhouse` is where a server keeps its part, empty when that is in the folder itself. `entries` and `bytes` are
    ClickHouse's own counts of its part. `keys` maps the ids of token keys to their fingerprints.
    """

    format: int
    began_at: datetime
    ended_at: datetime
    database: str
    clickhouse_version: str
    migrations: dict[str, str]
    clickhouse: str
    entries: int
    bytes: int
    tables: dict[str, int]
    keys: dict[str, str]
    files: dict[str, FileSum]


def write(folder: Path, manifest: Manifest) -> None:
    """Finish the backup: on disk, and its owner's alone."""
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    part = folder / f"{NAME}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / NAME)


def read(folder: Path) -> Manifest:
    """The manifest. Raises Misconfigured where there is no whole backup, or one of another release's format."""
    try:
        text = (folder / NAME).read_bytes()
    except FileNotFoundError:
        there = folder.is_dir() and any(folder.iterdir())
        what = "is half a backup: it was interrupted before its manifest was written" if there else "holds no backup"
        raise Misconfigured(f"{folder} {what}; name a folder that `sendlens backup` has finished") from None
    except OSError as error:
        raise Misconfigured(f"{folder / NAME} can't be read ({error.strerror})") from None
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{folder / NAME} is not a manifest of this release ({error})") from None
    if found.format != FORMAT:
        raise Misconfigured(f"{folder / NAME} has format {found.format} and this release reads {FORMAT}")
    return found


def sums(folder: Path, said: Callable[[int], object]) -> dict[str, FileSum]:
    """Size and SHA-256 of every file below the folder but the manifest; `said` is told of bytes as they are read."""
    return {name: _sum(folder / name, said) for name in _files(folder)}


def check(folder: Path, manifest: Manifest, said: Callable[[int], object]) -> None:
    """Raises Misconfigured when a file of the backup is missing or is not as it was written."""
    for name, wanted in manifest.files.items():
        path = folder / name
        try:
            found = _sum(path, said)
        except OSError as error:
            raise Misconfigured(f"{path}: the backup is not whole ({error.strerror}); use another one") from None
        if found != wanted:
            raise Misconfigured(f"{path} is not as the backup wrote it; use another one")


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / NAME:
            yield str(path.relative_to(folder))


def _sum(path: Path, said: Callable[[int], object]) -> FileSum:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            said(len(chunk))
    return FileSum(size, digest.hexdigest())
