"""The judge at work: batches of hits in, batches of judged events out, joined with the deliveries' times and with the
other clicks on the same email."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import BytesIO

import msgspec

from agents.judge.country_file import CountryFile
from agents.judge.look_back import look_back_seconds
from agents.judge.relay_refresh import RelayRefresher
from agents.runtime.metrics import VERDICTS
from decisions.clients.mail_clients import MailClients
from decisions.robots.client_ip import keeper
from decisions.robots.co_occurrence import LATENESS, RecentClicks
from decisions.robots.rejudging import LONGEST_TRANSACTION
from decisions.robots.relay import RelayList
from decisions.robots.rules import Rules
from schemas.errors import UNREADABLE, Retry
from schemas.events import Clicked, Delivery, Hit, Opened, lines
from schemas.settings import Settings
from schemas.topics import DELIVERIES, EVENTS, HITS
from stream.lookback import records_before
from stream.records import Handler, HandleResult, OutRecord, PoisonRecord, Record, Write
from stream.state import StateTopic

_PATIENCE = 5.0  # seconds that the view of deliveries may lag before the stage raises Retry
# Events go together into a record up to this size, beyond which what a record costs by itself no longer matters: each
# stage that reads them pays some 100 microseconds for one.
_RECORD_BYTES = 64 * 1024
_RECENT = 48 * 3600.0  # how far back a hit may lag and still be judged with its delivery's time


class Judge(Handler):
    """Judges each hit once and for good, when all that it needs has been read."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        clock: Callable[[], float] = time.time,
        countries: CountryFile | None = None,
    ) -> None:
        self._rules = rules
        self._clients = MailClients.load()
        self._countries = countries
        self._settle = settings.settle_seconds
        self._ahead = max(0.0, settings.settle_seconds - LATENESS)
        self._window = timedelta(seconds=settings.scanner_window_seconds)
        self._deliveries: StateTopic[Delivery] = StateTopic(
            settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id, forget_after=_RECENT
        )
        self._clock = clock
        self._settings = settings
        self._honeypots = lru_cache(maxsize=10_000)(settings.keyring.honeypots)
        self._kept_ip = keeper(settings.client_ip, settings.keyring)
        self._look_back = look_back_seconds(settings.honeypot)
        self._refresh: RelayRefresher | None = None
        self.assigned(())

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        """Forget all clicks: what was not acknowledged comes again, and what came before it is read back.

        A call that is under way keeps what it knows.
        """
        self._clicks = RecentClicks(self._settle, self._honeypots)
        self._first: dict[int, Record] = {}
        self._known_before: set[int] = set()

    def arrived(self, record: Record) -> None:
        """Remember the clicks of a record that is not due yet: they decide the verdict on hits before them."""
        self._first.setdefault(record.partition, record)
        self._clicks.add(record.partition, record.written_at, _clicks_of(record))

    def use_relay(self, relay: RelayList) -> None:
        """Judge the records after the one in progress by another list of Apple's relay. Safe from any thread."""
        self._rules = self._rules.with_relay(relay)

    async def start(self, write: Write) -> None:
        self._deliveries.start()
        if self._countries is not None:
            self._countries.start()
        if self._settings.relay_list_url:
            self._refresh = RelayRefresher(self._settings, self.use_relay)
            self._refresh.start()

    async def stop(self) -> None:
        if self._refresh is not None:
            self._refresh.stop()
        if self._countries is not None:
            self._countries.stop()
        self._deliveries.stop()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """Events on their hits' partitions and in their order; those of small records share one."""
        clicks = self._clicks  # a rebalance that comes meanwhile gives later records others
        await self._know_clicks_before(records)
        await self._know_deliveries(records)
        handled, clients, kept = HandleResult(), self._clients, self._kept_ip
        country_of = None if self._countries is None else self._countries.find
        made: dict[tuple[int, bytes], list[bytes]] = {}
        verdicts: Counter[tuple[str, str, str]] = Counter()  # a metric's own count a hit costs a quarter of the judging
        for record in records:
            rules = self._rules  # another list of Apple's may come between records
            # Of a delivery that was written later nothing is said however late this is: else a judge that was killed
            # and does it again would know more than the first time.
            partition, written_at = record.partition, record.written_at
            known_until = written_at + self._ahead
            events: list[Opened | Clicked] = []
            hits, unreadable = read_hits(record.value)
            for hit in hits:
                delivery = self._deliveries.get(hit.delivery_id, known_until)
                client = clients.find(hit.user_agent)
                event = rules.event(
                    hit,
                    delivery.at if delivery else None,
                    undelivered=delivery is None and hit.at - hit.minted_at < LONGEST_TRANSACTION,
                    scanner_window=self._window,
                    co_occurring=clicks.co_occurring(partition, written_at, hit),
                    ip=None if kept is None else kept(hit.ip),
                    client=client.name(hit.kind),
                    device=client.device,
                    country="" if country_of is None else country_of(hit.ip),
                )
                events.append(event)
            verdicts.update([(hit.kind, one.verdict, one.reason) for hit, one in zip(hits, events, strict=True)])
            if unreadable:
                handled.dead.append(PoisonRecord(record, "unreadable", unreadable))
            if events:
                made.setdefault((record.partition, record.key), []).append(lines(events))
        for (partition, key), values in made.items():
            handled.out += [OutRecord(EVENTS, partition, key, value) for value in _joined(values)]
        for record in records:
            clicks.forget(record.partition, record.written_at)
        for labels, count in verdicts.items():
            VERDICTS.labels(*labels).inc(count)
        return handled

    async def _know_clicks_before(self, records: Sequence[Record]) -> None:
        """After a start or a rebalance, read back the clicks that another worker has judged and acknowledged."""
        clicks, known, first = self._clicks, self._known_before, self._first
        for partition in sorted({record.partition for record in records} - known):
            one = first.get(partition)
            if one is not None:
                since = one.written_at - self._look_back
                before = await asyncio.to_thread(records_before, self._settings, HITS, partition, one.offset, since)
                for record in before:
                    clicks.add(partition, record.written_at, _clicks_of(record))
            known.add(partition)

    async def _know_deliveries(self, records: Sequence[Record]) -> None:
        """Wait until every delivery up to a settle delay after the newest hit has been read, so that "not delivered
        yet" is a fact and not a lag."""
        known_until = min(max(record.written_at for record in records) + self._settle, self._clock())
        if not await self._deliveries.wait_until_current(known_until, _PATIENCE):
            lag = datetime.fromtimestamp(known_until, UTC).isoformat(timespec="seconds")
            raise Retry(f"the topic deliveries has not been read up to {lag} yet")


def read_hits(batch: bytes) -> tuple[list[Hit], str]:
    """The hits of a record, and the error in its first line that is not a hit.

    A batch is decoded in one call, a third less work than line by line; where that fails, the good lines are found one
    by one. That call goes by objects, not by lines, hence the count; `bytes.count` takes five times as long for it.
    """
    try:
        hits = _decoder.decode_lines(batch)
        if len(hits) == len(BytesIO(batch).readlines()) and batch.endswith(b"\n"):
            return hits, ""
    except UNREADABLE:
        pass
    hits, unreadable = [], ""
    for line in filter(None, batch.split(b"\n")):
        try:
            hits.append(_decoder.decode(line))
        except UNREADABLE as error:
            unreadable = unreadable or str(error)
    return hits, unreadable


def _joined(values: list[bytes]) -> list[bytes]:
    """The values in order, as few as there can be when neighbours share one of at most `_RECORD_BYTES`."""
    joined: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for value in values:
        if gathered and size + len(value) > _RECORD_BYTES:
            joined.append(b"".join(gathered))
            gathered, size = [], 0
        gathered.append(value)
        size += len(value)
    return [*joined, b"".join(gathered)] if gathered else joined


def _clicks_of(record: Record) -> list[Hit]:
    """The clicks among a record's hits; what can't be read is complained of when it is due."""
    batch, lines_of_clicks, at = record.value, [], 0
    while (at := batch.find(b'"click"', at)) >= 0:
        start, end = batch.rfind(b"\n", 0, at) + 1, batch.find(b"\n", at)
        at = len(batch) if end < 0 else end
        lines_of_clicks.append(batch[start:at])
    return read_hits(b"\n".join([*lines_of_clicks, b""]))[0] if lines_of_clicks else []


_decoder = msgspec.json.Decoder(Hit)
