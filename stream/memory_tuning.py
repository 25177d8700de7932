"""Memory of long-lived processes: what Python's collector looks at, and what the allocator keeps."""

from __future__ import annotations

import ctypes
import gc

_ALLOCATIONS = 50_000  # net new containers before a collection of the youngest generation
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_ARENAS = 2
_LARGE_BYTES = 128 * 1024  # glibc's own, before it raises it


def freeze_loaded_objects() -> None:
    """Exclude loaded objects from every collection, and look for cycles less often: the objects of a request or of a
    batch of records form no cycles, so reference counting frees them.

    With Python's own thresholds a tenth of the judge's time and a third of a hit's went into scanning the same modules,
    caches and in-flight records over and over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


def give_buffers_back() -> None:
    """Have large buffers go back to the system when they are freed, and threads share two of glibc's arenas
    (mallopt(3)). To be called before threads start.

    glibc maps large buffers by themselves, and raises what is large to the largest that was ever freed; then batches
    of records lie among small objects, in up to eight arenas a core, and leave holes that are not given back. A worker
    grew by 1.2 MiB a minute at 500 hits a second so, of which Python held nothing; two arenas alone did not end it.
    Other C libraries have no such options.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_ARENA_MAX, _ARENAS)
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
