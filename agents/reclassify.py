"""`sendlens reclassify`: judges stored raw hits again under today's rules, and rebuilds the numbers.

Works through time in pieces. For each piece: judge its hits, insert the events whose verdict, reason or rules version
differ from what is stored (same id, so the newer row replaces the older), then rebuild the `outcomes` of every email
whose row is not what its events say. The last step looks at numbers, not at what this run has changed, so a run that
was killed anywhere is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from agents.decisions.again import Stored, judge_again
from agents.decisions.company import HONEYPOT_SECONDS, PAIR_SECONDS, REMEMBERED_SECONDS
from agents.decisions.judge import Rules
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.store import insert_lines
from schemas.errors import Misconfigured, Retry
from schemas.events import Clicked, Hit, Opened, lines
from schemas.settings import Settings

_MOST_HITS = 100_000  # of a piece: some 100 MB while it is judged
_LONGEST, _SHORTEST = timedelta(days=1), timedelta(minutes=1)
_BEFORE = timedelta(seconds=HONEYPOT_SECONDS + REMEMBERED_SECONDS)  # hits that say something of a piece's first
_AFTER = timedelta(seconds=PAIR_SECONDS)
_ROWS = 10_000  # of one insert
_EMAILS = 1_000  # rebuilt at once: each time is a mutation of `outcomes`
# Younger hits may not be judged yet, or their events not be stored; the stream may still write those again.
SETTLED_AFTER = timedelta(minutes=10)

_ISO = {"date_time_output_format": "iso"}

_COUNT = "SELECT count() FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}"
_HITS = """
SELECT id, kind, at, delivery_id, campaign, step, variant, lead, link_id, method, user_agent, ip, minted_at, headers
FROM hits FINAL
WHERE at >= {before:DateTime64(3, 'UTC')} AND at < {after:DateTime64(3, 'UTC')}
    AND delivery_id IN (
        SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
    )
ORDER BY delivery_id, at, id
"""
_STORED = """
SELECT toString(id), verdict, reason, rules_version FROM events FINAL
WHERE kind IN ('open', 'click') AND at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
"""
_DELIVERED = """
SELECT toString(delivery_id), min(at) FROM events
WHERE kind = 'delivered' AND delivery_id IN (
    SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
)
GROUP BY delivery_id
"""
# Emails with hits in the piece whose outcome is not what their events say, or is not there.
_WRONG = """
WITH touched AS (
    SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
)
SELECT DISTINCT toString(told.delivery_id)
FROM (
    SELECT delivery_id,
        minOrNullIf(at, kind = 'open' AND verdict = 'human') AS opened,
        minOrNullIf(at, kind = 'click' AND verdict = 'human') AS clicked,
        minOrNullIf(at, kind = 'open' AND verdict = 'machine') AS fetched,
        arraySort(groupUniqArrayIf(concat(kind, ' ', verdict, ' ', reason), verdict IN ('bot', 'machine'))) AS robots,
        arraySort(groupUniqArrayIf(link_id, kind = 'click' AND verdict = 'human')) AS links
    FROM events FINAL WHERE delivery_id IN touched GROUP BY delivery_id
) AS told
LEFT JOIN (
    SELECT delivery_id, 1 AS there, min(first_open_at) AS opened, min(first_click_at) AS clicked,
        min(first_machine_open_at) AS fetched, 1 AS has_sets,
        arraySort(groupUniqArrayArray(outcomes.robots)) AS robots,
        arraySort(groupUniqArrayArray(outcomes.links)) AS links
    FROM outcomes WHERE delivery_id IN touched GROUP BY delivery_id
    UNION ALL
    -- As the page counts them; what was never sent has no hour of sending, under which the sets stand.
    SELECT delivery_id, max(stands) AS there, min(opened), min(clicked), min(fetched), max(is_sent) AS has_sets,
        arraySort(groupUniqArrayArray(robots)), arraySort(groupUniqArrayArray(links))
    FROM (
        SELECT delivery_id, 1 AS stands, first_open_at AS opened, first_click_at AS clicked,
            first_machine_open_at AS fetched, sent_at IS NOT NULL AS is_sent, robots, links
        FROM emails WHERE delivery_id IN touched
        UNION ALL
        SELECT delivery_id, 0, NULL, NULL, NULL, 0, [], [] FROM outcomes
        WHERE delivery_id IN touched AND notEmpty(hours)
    ) GROUP BY delivery_id
) AS counted ON counted.delivery_id = told.delivery_id
WHERE counted.there = 0
    OR ifNull(told.opened, toDateTime64(0, 3)) != ifNull(counted.opened, toDateTime64(0, 3))
    OR ifNull(told.clicked, toDateTime64(0, 3)) != ifNull(counted.clicked, toDateTime64(0, 3))
    OR ifNull(told.fetched, toDateTime64(0, 3)) != ifNull(counted.fetched, toDateTime64(0, 3))
    OR (counted.has_sets AND (told.robots != counted.robots OR told.links != counted.links))
"""
_PROGRESS = """
SELECT done_until, hits, changed FROM reclassifications FINAL
WHERE range_from = {start:DateTime64(3, 'UTC')} AND range_to = {end:DateTime64(3, 'UTC')}
    AND rules_version = {version:String} AND done_until < range_to
"""

_decode = msgspec.json.Decoder(Hit).decode


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: hits judged again, of them those whose event was replaced, emails whose outcome was rebuilt."""

    done_until: datetime
    hits: int = 0
    changed: int = 0
    rebuilt: int = 0

    def __str__(self) -> str:
        return f"until {self.done_until:%Y-%m-%d %H:%M}: {self.hits} hits, {self.changed} changed"


def span(start: datetime, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The range that is meant, in UTC. Raises Misconfigured when it is none, or reaches what is still in the stream."""
    latest = now.replace(microsecond=0) - SETTLED_AFTER
    first, until = start.replace(tzinfo=UTC), end.replace(tzinfo=UTC) if end else latest
    if not first < until <= latest:
        raise Misconfigured(f"--from must be before --to, and that no later than {latest:%Y-%m-%dT%H:%M:%S}")
    return first, until


class Reclassify:
    """One run over `[start, end)`. `report` is told after every piece. The client must be allowed to write."""

    def __init__(self, settings: Settings, client: Client, rules: Rules, report: Callable[[Progress], object]) -> None:
        self._settings = settings
        self._client = client
        self._rules = rules
        self._report = report
        self._honeypots = lru_cache(maxsize=10_000)(settings.keyring.honeypots)

    def run(self, start: datetime, end: datetime) -> Progress:
        """Judge again, going on where a run over the same range under the same rules was interrupted.

        Raises Retry when ClickHouse can't answer; what was done stays done.
        """
        try:
            progress = self._resumed(start, end)
            while progress.done_until < end:
                progress = self._piece(progress, self._piece_end(progress.done_until, end))
                self._remember(start, end, progress)
                self._report(progress)
            return progress
        except ClickHouseError as error:
            raise Retry(f"ClickHouse: {str(error)[:300]}") from error

    def _resumed(self, start: datetime, end: datetime) -> Progress:
        where = {"start": start, "end": end, "version": self._rules.version}
        for done_until, hits, changed in self._client.query(_PROGRESS, parameters=where).result_rows:
            return Progress(_utc(done_until), hits, changed)
        return Progress(start)

    def _remember(self, start: datetime, end: datetime, progress: Progress) -> None:
        self._client.insert(
            "reclassifications",
            [[start, end, self._rules.version, progress.done_until, progress.hits, progress.changed]],
            column_names=["range_from", "range_to", "rules_version", "done_until", "hits", "changed"],
        )

    def _piece_end(self, start: datetime, end: datetime) -> datetime:
        """The end of a piece that is not too big: half as long until it fits."""
        length = _LONGEST
        while True:
            until = min(end, start + length)
            count = self._client.query(_COUNT, parameters={"start": start, "end": until}).result_rows[0][0]
            if count <= _MOST_HITS or length <= _SHORTEST:
                return until
            length /= 2

    def _piece(self, progress: Progress, end: datetime) -> Progress:
        where = {"start": progress.done_until, "end": end}
        stored = {row[0]: Stored(*row[1:]) for row in self._client.query(_STORED, parameters=where).result_rows}
        judged, changed = 0, 0
        fresh: list[Opened | Clicked] = []
        for event in self._judged(where, stored):
            judged += 1
            if stored.get(event.id) == Stored(event.verdict, event.reason, event.rules_version):
                continue
            changed += 1
            fresh.append(event)
            if len(fresh) == _ROWS:
                insert_lines(self._client, "events", lines(fresh))
                fresh.clear()
        if fresh:
            insert_lines(self._client, "events", lines(fresh))
        rebuilt = self._rebuild(where)
        return Progress(end, progress.hits + judged, progress.changed + changed, progress.rebuilt + rebuilt)

    def _judged(self, where: dict[str, datetime], stored: dict[str, Stored]) -> Iterator[Opened | Clicked]:
        """The events of a piece's hits, judged in the company of those around it."""
        start, end = where["start"], where["end"]
        delivered = {row[0]: _utc(row[1]) for row in self._client.query(_DELIVERED, parameters=where).result_rows}
        around = where | {"before": start - _BEFORE, "after": end + _AFTER}
        raw = self._client.raw_query(_HITS, parameters=around, fmt="JSONEachRow", settings=_ISO)
        hits = (_decode(line) for line in raw.splitlines())
        for delivery, group in groupby(hits, key=lambda hit: hit.delivery_id):
            for event in judge_again(
                list(group),
                delivered.get(delivery),
                self._rules,
                settle=self._settings.settle_seconds,
                scanner_window=timedelta(seconds=self._settings.scanner_window_seconds),
                honeypots=self._honeypots,
                stored=stored,
            ):
                if start <= event.at < end:
                    yield event

    def _rebuild(self, where: dict[str, datetime]) -> int:
        """Write anew the outcomes that are not what their events say; returns how many."""
        wrong = [str(row[0]) for row in self._client.query(_WRONG, parameters=where).result_rows]
        for at in range(0, len(wrong), _EMAILS):
            rebuild_outcomes(self._client, wrong[at : at + _EMAILS])
        return len(wrong)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=value.tzinfo or UTC)  # clickhouse-connect leaves UTC out
