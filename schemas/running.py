"""Where the stack of this machine answers now: its database has another port when the wanted one is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE = "clickhouse_url"


@contextmanager
def announced(data_dir: Path, clickhouse_url: str) -> Iterator[None]:
    """Keeps the database's address in the data folder while the stack runs."""
    file = data_dir / _FILE
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(f"{clickhouse_url}\n")
    try:
        yield
    finally:
        if running_clickhouse(data_dir) == clickhouse_url:  # or a stack that started later has its own there
            file.unlink(missing_ok=True)


def running_clickhouse(data_dir: Path) -> str | None:
    """The address of the database that runs, None when none is known to."""
    try:
        return (data_dir / _FILE).read_text().strip() or None
    except FileNotFoundError:
        return None
