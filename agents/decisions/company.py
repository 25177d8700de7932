"""What the other hits of the same email from the same source say of one: a burst of clicks, a honeypot touched.

People click one link and read; scanners fetch every link at once, and links that no person sees. What counts for a hit
is a function of the log alone (times of the hits, times of their records), not of how records came in groups or how
late they are judged: the hits up to `settle - LATENESS` after it, whose records were written by then. A hit that Kafka
gets later than that can't change a verdict that was given.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from schemas.events import Hit

# Two different links of one email within 5 s from one source: Warmbly's threshold.
PAIR_SECONDS = 5.0
# Three links of one email within 2 s: AutoEmails' threshold.
MANY_LINKS, MANY_SECONDS = 3, 2.0
# Whoever follows a link that no person can see is a robot for this long, before and after.
HONEYPOT_SECONDS = 15 * 60.0

# How long a record may take from Kafka's clock to this process and still count: the judge hands out a record when its
# settle delay is over, and what was written until this long before that has certainly been read.
LATENESS = 0.5
# How long clicks are remembered. A hit is written within moments; 30 s leave room for an ingest that waited for Kafka.
REMEMBERED_SECONDS = 30.0
# Clicks remembered of one source on one email: a flood is a burst long before that.
_MOST = 64


class Company(Struct, frozen=True, gc=False):
    """Whether around a hit, from its source and on its email, there was: another link within 5 s, three links within
    2 s, the honeypot within 15 minutes."""

    another_link: bool = False
    many_links: bool = False
    honeypot: bool = False


ALONE = Company()
_TRAPPED = Company(honeypot=True)


class _Click(Struct, frozen=True, gc=False):
    id: str
    at: float
    link_id: str
    written_at: float


class _Clicks:
    """Clicks by email and source, forgotten in the order in which their records were written."""

    def __init__(self) -> None:
        self._by_source: dict[tuple[str, str], list[_Click]] = {}
        self._order: deque[tuple[float, tuple[str, str]]] = deque()

    def add(self, source: tuple[str, str], click: _Click) -> None:
        clicks = self._by_source.get(source)
        if clicks is None:  # nearly always
            self._by_source[source] = [click]
            self._order.append((click.written_at, source))
            return
        for index, one in enumerate(clicks):
            if one.id == click.id:  # the same hit again: the first record of it counts
                if click.written_at < one.written_at:
                    clicks[index] = click
                return
        if len(clicks) < _MOST:
            clicks.append(click)
            self._order.append((click.written_at, source))

    def of(self, source: tuple[str, str]) -> list[_Click]:
        return self._by_source.get(source) or []

    def forget(self, before: float) -> None:
        while self._order and self._order[0][0] < before:
            _, source = self._order.popleft()
            left = [click for click in self._by_source.get(source, ()) if click.written_at >= before]
            if left:
                self._by_source[source] = left
            else:
                self._by_source.pop(source, None)

    @property
    def is_empty(self) -> bool:
        return not self._by_source

    def __len__(self) -> int:
        return sum(map(len, self._by_source.values()))


class RecentClicks:
    """Remembers the clicks of a moment and says in what company a hit came.

    `settle` is the judge's delay in seconds; `honeypots` gives the ids of a campaign's honeypot. Records are named by
    their partition and the time they were written (epoch seconds).
    """

    def __init__(self, settle: float, honeypots: Callable[[str], Collection[str]]) -> None:
        self._ahead = max(0.0, settle - LATENESS)
        self._honeypots = honeypots
        self._clicks: defaultdict[int, _Clicks] = defaultdict(_Clicks)
        self._traps: defaultdict[int, _Clicks] = defaultdict(_Clicks)

    def add(self, partition: int, written_at: float, hits: Iterable[Hit]) -> None:
        """Take note of a record's hits. The same hit again changes nothing."""
        for hit in hits:
            if hit.kind != "click":
                continue
            click = _Click(hit.id, hit.at.timestamp(), hit.link_id, written_at)
            if hit.link_id in self._honeypots(hit.campaign):
                self._traps[partition].add((hit.delivery_id, hit.ip), click)
            elif hit.method == "GET":  # what asks by HEAD is no person, and no reason to doubt one who then comes
                self._clicks[partition].add((hit.delivery_id, hit.ip), click)

    def company(self, partition: int, written_at: float, hit: Hit) -> Company:
        """In what company a hit of a record came."""
        trapped = self._traps[partition]
        if hit.kind != "click" and trapped.is_empty:
            return ALONE
        source = (hit.delivery_id, hit.ip)
        traps = trapped.of(source)
        clicks = self._clicks[partition].of(source) if hit.kind == "click" else []
        if not traps and len(clicks) < 2:
            return ALONE
        at = hit.at.timestamp()
        known_until = min([written_at, *(one.written_at for one in clicks if one.id == hit.id)]) + self._ahead
        if any(
            (one.written_at <= known_until and at - HONEYPOT_SECONDS <= one.at <= at + self._ahead) or one.id == hit.id
            for one in traps
        ):
            return _TRAPPED
        ahead = min(self._ahead, PAIR_SECONDS)
        near = sorted(
            (one.at, one.link_id)
            for one in clicks
            if one.written_at <= known_until and at - PAIR_SECONDS <= one.at <= at + ahead
        )
        return Company(
            another_link=any(link != hit.link_id for _, link in near),
            many_links=any(
                len({link for one, link in near if start <= one <= start + MANY_SECONDS}) >= MANY_LINKS
                for start, _ in near
                if start <= at <= start + MANY_SECONDS
            ),
        )

    def forget(self, partition: int, judged_until: float) -> None:
        """Forget what no record of the partition written after `judged_until` needs."""
        self._clicks[partition].forget(judged_until - REMEMBERED_SECONDS)
        self._traps[partition].forget(judged_until - HONEYPOT_SECONDS - REMEMBERED_SECONDS)

    def __len__(self) -> int:
        return sum(map(len, (*self._clicks.values(), *self._traps.values())))
