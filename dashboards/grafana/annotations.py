"""Marks on Grafana's boards for what happened to a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboards.grafana.client import Grafana
from schemas.settings import Settings

_TIMEOUT_SECONDS = 10.0


def annotate(settings: Settings, event_id: str, at: datetime, text: str, tags: Sequence[str]) -> None:
    """Put an annotation on every board (Grafana's HTTP API, Annotations), unless the event has one already.

    Raises Retry while Grafana is away, Reject when it refuses.
    """
    mark = f"event:{event_id}"
    with Grafana(settings, _TIMEOUT_SECONDS) as grafana:
        if not grafana.has_annotation(mark):
            grafana.annotate(int(at.timestamp() * 1000), text, [*tags, mark])
