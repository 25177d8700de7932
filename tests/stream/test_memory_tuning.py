"""What glibc's allocator keeps, in a process of its own: its options can't be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Buffers of threads that are alive while others ask for theirs, and a large one that was freed before: glibc itself tells
# how many arenas that took, and how many buffers it maps by themselves (malloc_info(3)).
_ALLOCATE = """
import ctypes, sys, threading
from stream.memory_tuning import give_buffers_back

libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info"):
    print(0, 0)
    sys.exit()
if sys.argv[1] == "tuned":
    give_buffers_back()
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
libc.free(libc.malloc(20 << 20))
everybody = threading.Barrier(9)

def allocate():
    libc.malloc(50_000)
    libc.malloc(1 << 20)
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
told = open(sys.argv[2]).read()
print(told.count("<heap nr="), told.partition('type="mmap" count="')[2].partition('"')[0] or 0)
"""


def allocated(how: str, file: Path) -> tuple[int, int]:
    """Arenas, and buffers that are mapped by themselves."""
    command = [sys.executable, "-c", _ALLOCATE, how, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    arenas, mapped = map(int, done.stdout.split())
    return arenas, mapped


def test_large_buffers_are_mapped_by_themselves_and_threads_share_two_arenas(tmp_path: Path) -> None:
    arenas, mapped = allocated("as it comes", tmp_path / "malloc.xml")
    if arenas < 3:
        pytest.skip("this C library has no arenas, or no more than two of them")
    arenas_then, mapped_then = allocated("tuned", tmp_path / "malloc.xml")
    assert arenas_then == 2
    assert mapped_then >= mapped + 8
