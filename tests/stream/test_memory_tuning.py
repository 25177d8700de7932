"""What the allocator keeps for threads, in a process of its own: it can't be undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# As a batch does: buffers of one thread that are alive while others ask for theirs. Arenas are counted by glibc itself
# (malloc_info(3)).
_ARENAS = """
import ctypes, sys, threading
from stream.memory_tuning import share_arenas

libc = ctypes.CDLL(None, use_errno=True)
if not hasattr(libc, "malloc_info"):
    print(0)
    sys.exit()
if sys.argv[1] == "shared":
    share_arenas()
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
everybody = threading.Barrier(9)
def allocate():
    libc.malloc(50_000)
    everybody.wait()
    everybody.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for one in threads:
    one.start()
everybody.wait()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
everybody.wait()
print(open(sys.argv[2]).read().count("<heap nr="))
"""


def arenas(how: str, file: str) -> int:
    done = subprocess.run([sys.executable, "-c", _ARENAS, how, file], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_threads_share_two_arenas(tmp_path: Path) -> None:
    file = str(tmp_path / "malloc.xml")
    if arenas("own", file) < 3:
        pytest.skip("this C library has no arenas, or no more than two of them")
    assert arenas("shared", file) == 2
