"""Garbage collection, tuned for long-lived processes."""

from __future__ import annotations

import gc

_ALLOCATIONS = 50_000  # net new containers before a collection of the youngest generation


def freeze_loaded_objects() -> None:
    """Exclude loaded objects from every collection, and look for cycles less often: the objects of a request or of a
    batch of records form no cycles, so reference counting frees them.

    With Python's own thresholds a tenth of the judge's time and a third of a hit's went into scanning the same modules,
    caches and in-flight records over and over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)
