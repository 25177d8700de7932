"""How far each stage is behind, for a worker that drains and for its gauges."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from agents.pipeline import STAGES, Stage
from agents.runtime.metrics import LAG, OWN_LAG
from schemas.errors import Retry
from schemas.settings import Settings
from stream.lag import LagProbe

_WATCH_SECONDS = 10.0  # where samples, which have a rhythm of their own, are off


def lag(settings: Settings, stages: tuple[Stage, ...] = STAGES) -> dict[str, int]:
    """Records not yet acknowledged, by stage. Raises Retry when the broker can't be reached."""
    probe = LagProbe(settings, {stage.name: stage.takes for stage in stages})
    try:
        return {stage: sum(behind.values()) for stage, behind in probe(exact=True).items()}
    finally:
        probe.close()


class LagMonitor:
    """Keeps the lag gauges current, on a thread of its own, so that a Kafka outage blocks nothing else.

    `owned` gives the partitions of a stage that are assigned to this worker, by topic's name and number. While Kafka
    does not answer, the gauges are NaN.
    """

    def __init__(self, settings: Settings, owned: Mapping[Stage, Callable[[], Collection[tuple[str, int]]]]) -> None:
        self._seconds = settings.sample_seconds or _WATCH_SECONDS
        self._owned = {stage.name: read for stage, read in owned.items()}
        self._probe = LagProbe(settings, {stage.name: stage.takes for stage in owned})
        self._known: dict[str, tuple[float, float]] = {}
        self._until = 0.0
        self._stopping = threading.Event()
        for stage in self._owned:
            LAG.labels(stage).set_function(partial(self._told, stage, 0))
            OWN_LAG.labels(stage).set_function(partial(self._told, stage, 1))

    def start(self) -> None:
        threading.Thread(target=self._run, name="lag", daemon=True).start()

    def stop(self) -> None:
        """Waits for nothing."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                found = self._probe(exact=False)
            except Retry:
                self._known = {}
            else:
                self._known = {
                    stage: (float(sum(behind.values())), float(sum(behind.get(tp, 0) for tp in self._owned[stage]())))
                    for stage, behind in found.items()
                }
                self._until = time.monotonic() + 3 * self._seconds
            self._stopping.wait(max(0.1, self._seconds - (time.monotonic() - began)))
        self._probe.close()

    def _told(self, stage: str, which: int) -> float:
        known = self._known.get(stage) if time.monotonic() < self._until else None
        return known[which] if known else math.nan
