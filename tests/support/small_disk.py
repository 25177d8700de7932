"""A disk that can be filled: a small file system in memory, which only root may mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BLOCKS = (1024 * 1024, 4096)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """`folder` on a disk of its own; False, and an ordinary folder, where we may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], capture_output=True
    )
    mounted = done.returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all that is left of the disk."""
    with (folder / "ballast").open("ab", buffering=0) as ballast:
        for size in _BLOCKS:
            with suppress(OSError):  # no space left for so much
                while True:
                    ballast.write(bytes(size))


def empty(folder: Path) -> None:
    """Give back what `fill` took."""
    (folder / "ballast").unlink(missing_ok=True)


def is_small(folder: Path) -> bool:
    """Whether the folder is a disk of its own."""
    return folder.is_mount()
