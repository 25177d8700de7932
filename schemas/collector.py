"""The garbage collector, made to leave long-lived processes alone."""

from __future__ import annotations

import gc

_ALLOCATIONS = 50_000  # containers more than were freed, before the collector looks at them


def spare_the_collector() -> None:
    """Leave what was loaded out of every collection, and look for cycles less often: what is made of a request or of a
    batch of records is no cycle, and goes when it is done.

    With Python's own thresholds a tenth of the judge's time and a third of a hit's went into going through the same
    modules, caches and held records again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)
