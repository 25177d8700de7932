"""An embedded ClickHouse whose database is migrated already: it is migrated once, and each server gets a copy.

To migrate takes some 300 statements, 7 s of CPU; a copy is 5 MB in small files and a server on it starts within a second.
What was made lies in build/migrated until a file of `clickhouse` or `schemas` changes, from which alone it is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from clickhouse.migrate import migrate
from schemas.settings import Settings, load
from tests.support.processes import ROOT, ClickHouseProcess, start_clickhouse

MIGRATED = "sendlens"  # the database in it
_KEYS = "1:0123456789abcdef0123456789abcdef"
_KEPT = ROOT / "build" / "migrated"
_DAY = 86_400.0
# The id of a database or table: not one that a query compares with, as toUUID('00000000-...').
_ID = re.compile(r"(?<= UUID ')[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SOURCES = ("clickhouse", "schemas")  # an import rule says that clickhouse knows no others


def start_migrated(
    path: Path,
    *,
    also: Iterable[str] = (),
    port: int | None = None,
    password: str = "",
    readonly_user: str = "",
    readonly_password: str = "",
) -> ClickHouseProcess:
    """`start_clickhouse`, on a data directory with what `migrate` makes of an empty one, in the database MIGRATED.

    `also` names further such databases; each takes half as long as the server.
    """
    lay_migrated(path)
    for name in also:
        _add_copy(path, name)
    return start_clickhouse(
        path, port=port, password=password, readonly_user=readonly_user, readonly_password=readonly_password
    )


def lay_migrated(path: Path) -> None:
    """Copy that data directory to `path`, for a server that a test's own process starts: `migrate` finds nothing to do."""
    shutil.copytree(_migrated(), path, symlinks=True, dirs_exist_ok=True)  # `path` may be a disk of its own


@contextmanager
def migrated_database(folder: Path, *, also: Iterable[str] = (), **more: object) -> Iterator[Settings]:
    """A migrated database with nothing in it, on a server of its own that lasts as long; `more` are other settings."""
    server = start_migrated(folder / "clickhouse", also=also)
    try:
        yield load(**{"clickhouse_url": server.url, "clickhouse_database": MIGRATED, "token_keys": _KEYS} | more)
    finally:
        server.kill()


def _add_copy(path: Path, name: str) -> None:
    """Give a data directory that no server holds a copy of MIGRATED: the same files under ids of their own."""
    store = path / "store"
    ids: dict[str, str] = {}

    def copied(text: str) -> str:
        return _ID.sub(lambda found: ids.setdefault(found[0], str(uuid.uuid4())), text)

    definition = (path / "metadata" / f"{MIGRATED}.sql").read_text()
    (path / "metadata" / f"{name}.sql").write_text(copied(definition))
    ((database, own),) = ids.items()
    folder = store / own[:3] / own
    folder.mkdir(parents=True)
    (path / "metadata" / name).symlink_to(Path("..", "store", own[:3], own))
    for file in (store / database[:3] / database).glob("*.sql"):
        (folder / file.name).write_text(copied(file.read_text()).replace(f" {MIGRATED}.", f" {name}."))
    for old, new in ids.items():  # those that are tables with parts
        if new != own and (store / old[:3] / old).exists():
            shutil.copytree(store / old[:3] / old, store / new[:3] / new)


@cache
def _migrated() -> Path:
    """The data directory that is copied. Of all who need it at once, one makes it."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    wanted = _KEPT / _key()
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            for older in _KEPT.iterdir():
                if older.is_dir() and older.stat().st_mtime < time.time() - _DAY:  # another run may still copy it
                    shutil.rmtree(older)
            with tempfile.TemporaryDirectory(dir=_KEPT) as folder:
                server = start_clickhouse(Path(folder) / "data")
                try:
                    migrate(load(clickhouse_url=server.url, clickhouse_database=MIGRATED, token_keys=_KEYS))
                finally:
                    server.stop()  # in an orderly way: all is on disk
                (Path(folder) / "data").rename(wanted)  # whole or not at all
    return wanted


def _key() -> str:
    """What the sources say now, and the engine that runs it."""
    said = hashlib.sha256(version("chdb").encode())
    for path in sorted(path for source in _SOURCES for path in (ROOT / source).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            said.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return said.hexdigest()[:16]
