"""`sendlens reclassify`: judges stored raw hits again under today's rules, and rebuilds the numbers.

Works through time in pieces. For each piece: judge its hits, name their clients by today's tables, insert the events
whose verdict, reason, rules version, client, device or country differ from what is stored (same id, so the newer row
replaces the older), then rebuild the `outcomes` of every email
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

from clickhouse.ask import json_lines, rows
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.store import insert_lines
from decisions.clients.mail_clients import MailClients
from decisions.clients.naming import named
from decisions.robots.client_ip import is_whole
from decisions.robots.co_occurrence import HONEYPOT_SECONDS, PAIR_SECONDS, REMEMBERED_SECONDS
from decisions.robots.rejudging import StoredVerdict, judge_again
from decisions.robots.rules import Rules
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

_decode = msgspec.json.Decoder(Hit).decode


@dataclass(frozen=True, slots=True)
class ReclassifyProgress:
    """How far a run is: hits judged again, of them those whose event was replaced, emails whose outcome was rebuilt."""

    done_until: datetime
    hits: int = 0
    changed: int = 0
    rebuilt: int = 0

    def __str__(self) -> str:
        return f"until {self.done_until:%Y-%m-%d %H:%M}: {self.hits} hits, {self.changed} changed"


def span(start: datetime, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The given range, in UTC. Raises Misconfigured when it is invalid, or includes hits still in the stream."""
    latest = now.replace(microsecond=0) - SETTLED_AFTER
    first, until = start.replace(tzinfo=UTC), end.replace(tzinfo=UTC) if end else latest
    if not first < until <= latest:
        raise Misconfigured(f"--from must be before --to, and that no later than {latest:%Y-%m-%dT%H:%M:%S}")
    return first, until


class Reclassification:
    """One run over `[start, end)`. `report` is called after every piece. The client must be allowed to write.

    `country_of` finds the country of a whole address; that of an event that has one stays, because addresses move."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        rules: Rules,
        report: Callable[[ReclassifyProgress], object],
        country_of: Callable[[str], str] | None = None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._rules = rules
        self._report = report
        self._country_of = country_of
        self._clients = MailClients.load()
        self._honeypots = lru_cache(maxsize=10_000)(settings.keyring.honeypots)

    def run(self, start: datetime, end: datetime) -> ReclassifyProgress:
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

    def _resumed(self, start: datetime, end: datetime) -> ReclassifyProgress:
        found = rows(self._client, "reclassification_under_way", start=start, end=end, version=self._rules.version)
        for done_until, hits, changed in found:
            return ReclassifyProgress(done_until, hits, changed)
        return ReclassifyProgress(start)

    def _remember(self, start: datetime, end: datetime, progress: ReclassifyProgress) -> None:
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
            ((count,),) = rows(self._client, "hits_to_reclassify", start=start, end=until)
            if count <= _MOST_HITS or length <= _SHORTEST:
                return until
            length /= 2

    def _piece(self, progress: ReclassifyProgress, end: datetime) -> ReclassifyProgress:
        where = {"start": progress.done_until, "end": end}
        stored = {row[0]: StoredVerdict(*row[1:]) for row in rows(self._client, "events_of_hits", **where)}
        judged, changed = 0, 0
        fresh: list[Opened | Clicked] = []
        for event in self._judged(where, stored):
            judged += 1
            now = StoredVerdict(
                event.verdict,
                event.reason,
                event.rules_version,
                client=event.client,
                device=event.device,
                country=event.country,
            )
            if stored.get(event.id) == now:
                continue
            changed += 1
            fresh.append(event)
            if len(fresh) == _ROWS:
                insert_lines(self._client, "events", lines(fresh))
                fresh.clear()
        if fresh:
            insert_lines(self._client, "events", lines(fresh))
        rebuilt = self._rebuild(where)
        return ReclassifyProgress(end, progress.hits + judged, progress.changed + changed, progress.rebuilt + rebuilt)

    def _judged(self, where: dict[str, datetime], stored: dict[str, StoredVerdict]) -> Iterator[Opened | Clicked]:
        """The events of a piece's hits, judged with the co-occurring clicks of the pieces around it."""
        start, end = where["start"], where["end"]
        delivered: dict[str, datetime] = dict(rows(self._client, "delivery_times", **where))
        around = where | {"before": start - _BEFORE, "after": end + _AFTER}
        hits = map(_decode, list(json_lines(self._client, "hits_around", **around)))
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
                    yield named(event, self._clients, self._country(event, stored.get(event.id)), event.ip)

    def _country(self, event: Opened | Clicked, before: StoredVerdict | None) -> str:
        if before is not None and before.country:
            return before.country
        return self._country_of(event.ip) if self._country_of is not None and is_whole(event.ip) else ""

    def _rebuild(self, where: dict[str, datetime]) -> int:
        """Rewrite the outcomes that differ from their events; returns how many."""
        wrong = [str(row[0]) for row in rows(self._client, "outcomes_that_differ", **where)]
        for at in range(0, len(wrong), _EMAILS):
            rebuild_outcomes(self._client, wrong[at : at + _EMAILS])
        return len(wrong)
