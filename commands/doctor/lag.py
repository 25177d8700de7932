"""`sendlens lag`: how far each stage has got in each partition of its topics."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from commands.edge import explained, read_settings
from schemas.errors import Misconfigured
from schemas.settings import Settings

if TYPE_CHECKING:  # Kafka's client is a third of the start of a command that asks it nothing
    from stream.lag import PartitionLag

_HEAD = ("stage", "topic", "partition", "position", "end", "lag", "oldest")


def lag(
    stage: Annotated[list[str] | None, typer.Option(help="Of this stage alone; may be repeated. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each partition, a line each.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also partitions in which nothing waits.")] = False,
) -> None:
    """How far each stage is behind, by partition: what it has acknowledged, where the partition ends, since when the
    oldest record waits. Kafka's own tools show other figures on the broker in memory, and wrong ones."""
    with explained():
        from agents.worker import stages_named

        chosen = {one.name for one in stages_named(stage or [])}
        found = [one for one in partition_lags(read_settings(), ages=True) if one.stage in chosen]
        lines = json_lines(found, time.time()) if as_json else table(found, time.time(), every=every)
        for line in lines:
            print(line)


def partition_lags(settings: Settings, *, ages: bool) -> list[PartitionLag]:
    """Every stage's lag in every partition, exactly. Raises Retry when the broker can't be reached, Misconfigured while
    topics are missing."""
    from agents.pipeline import STAGES
    from stream.lag import LagProbe
    from stream.topic_admin import topics_at_fault

    if faults := topics_at_fault(settings):  # to wait for what is not there takes a minute
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise Misconfigured(f"{faults[0]}{more}")
    probe = LagProbe(settings, {stage.name: stage.takes for stage in STAGES})
    try:
        return probe.partitions(exact=True, ages=ages)
    finally:
        probe.close()


def json_lines(found: Sequence[PartitionLag], now: float) -> Iterator[str]:
    """A line for each partition, those without lag too. `oldest_seconds` is null where nothing waits."""
    for one in found:
        yield json.dumps(
            {
                "stage": one.stage,
                "topic": one.topic,
                "partition": one.partition,
                "position": one.position,
                "end": one.end,
                "lag": one.lag,
                "oldest_seconds": None if one.oldest_at is None else round(max(0.0, now - one.oldest_at), 3),
            }
        )


def table(found: Sequence[PartitionLag], now: float, *, every: bool) -> Iterator[str]:
    """Columns for eyes: partitions in which something waits, or all; then a sum for each stage."""
    rows = [_row(one, now) for one in found if every or one.lag]
    if rows:
        yield from _columns([_HEAD, *rows])
    for stage in dict.fromkeys(one.stage for one in found):
        yield f"{stage}: {_sum([one for one in found if one.stage == stage and one.lag], now)}"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        yield "  ".join([*names, *(cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))])


def _sum(behind: Sequence[PartitionLag], now: float) -> str:
    total = sum(one.lag for one in behind)
    if not total:
        return "nothing waits"
    oldest = min((one.oldest_at for one in behind if one.oldest_at is not None), default=None)
    return f"{total:,} records wait" + ("" if oldest is None else f", the oldest for {age(now - oldest)}")


def age(seconds: float) -> str:
    """A span of time for eyes, in its largest sensible unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _row(one: PartitionLag, now: float) -> tuple[str, ...]:
    oldest = "-" if one.oldest_at is None else age(now - one.oldest_at)
    return one.stage, one.topic, str(one.partition), str(one.position), str(one.end), str(one.lag), oldest
