"""Co-occurring clicks: other hits of the same email, such as a click burst or a click on the honeypot.

People click one link and read; scanners fetch every link at once, from one address or many, and links that no person
sees. Which hits count is a function of the log alone (times of the hits, times of their records), not of how records
were batched or how late they are judged: the hits up to `settle - LATENESS` after this one, whose records were written
by then. A hit that Kafka gets later than that can't change a verdict already given.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence

from msgspec import Struct

from decisions.robots.ip import numbered
from schemas.events import Hit, HitKind

Network = str | tuple[int, int]

# Two different links of one email within 5 s from one network: Warmbly's threshold.
PAIR_SECONDS = 5.0
# Three links of one email within 2 s, from wherever: AutoEmails' threshold. Two people may follow one link at once.
MANY_LINKS, MANY_SECONDS = 3, 2.0
# A source that follows a link no person can see is a robot for this long, before and after.
HONEYPOT_SECONDS = 15 * 60.0

# How long a record may take from Kafka's clock to this process and still count: the judge hands out a record when its
# settle delay is over, and what was written until this long before that has certainly been read.
LATENESS = 0.5
# How long clicks are remembered. A hit is written within moments; 30 s leave room for an ingest that waited for Kafka.
REMEMBERED_SECONDS = 30.0
# Clicks remembered of one email: a flood is a burst long before that.
_MOST = 64


class CoOccurringClicks(Struct, frozen=True, gc=False):
    """Whether around a hit on its email there was: another link within 5 s from its network, three links within 2 s,
    of which an open shares the network, the honeypot within 15 minutes from its address.

    A network is what a scanner changes its addresses in: a /24 (IPv6: a /48).
    """

    another_link: bool = False
    many_links: bool = False
    honeypot: bool = False


ALONE = CoOccurringClicks()
_TRAPPED = CoOccurringClicks(honeypot=True)


class _Click(Struct, frozen=True, gc=False):
    id: str
    at: float
    link_id: str
    written_at: float
    ip: str


class _Clicks:
    """Clicks by email, forgotten in the order in which their records were written."""

    def __init__(self) -> None:
        self.by_email: dict[str, list[_Click]] = {}
        self._order: deque[tuple[float, str]] = deque()
        self._of_several_links: set[str] = set()  # emails with clicks on more than one link

    def add(self, email: str, click: _Click) -> None:
        clicks = self.by_email.get(email)
        if clicks is None:  # nearly always
            self.by_email[email] = [click]
            self._order.append((click.written_at, email))
            return
        for index, one in enumerate(clicks):
            if one.id == click.id:  # the same hit again: the first record of it counts
                if click.written_at < one.written_at:
                    clicks[index] = click
                    self._count_links(email, clicks)
                return
        if len(clicks) < _MOST:
            if click.link_id != clicks[0].link_id:
                self._of_several_links.add(email)
            clicks.append(click)
            self._order.append((click.written_at, email))

    def could_co_occur(self, hit: Hit) -> bool:
        """Whether clicks on its email could co-occur with a hit, whenever they came: on several links, or on another
        than the hit. Nearly never."""
        if hit.delivery_id in self._of_several_links:
            return True
        if hit.kind != "click":
            return False
        clicks = self.by_email.get(hit.delivery_id, ())
        return len(clicks) > 1 and clicks[0].link_id != hit.link_id

    def forget(self, before: float) -> None:
        while self._order and self._order[0][0] < before:
            _, email = self._order.popleft()
            left = [click for click in self.by_email.get(email, ()) if click.written_at >= before]
            if left:
                self.by_email[email] = left
            else:
                self.by_email.pop(email, None)
            if email in self._of_several_links:
                self._count_links(email, left)

    def _count_links(self, email: str, clicks: Sequence[_Click]) -> None:
        if len({one.link_id for one in clicks}) > 1:
            self._of_several_links.add(email)
        else:
            self._of_several_links.discard(email)

    def __len__(self) -> int:
        return sum(map(len, self.by_email.values()))


class RecentClicks:
    """Remembers recent clicks and finds those that co-occur with a hit.

    `settle` is the judge's delay in seconds; `honeypots` gives the ids of a campaign's honeypot. Records are named by
    their partition and the time they were written (epoch seconds).
    """

    def __init__(self, settle: float, honeypots: Callable[[str], Collection[str]]) -> None:
        self._ahead = max(0.0, settle - LATENESS)
        self._honeypots = honeypots
        self._clicks: defaultdict[int, _Clicks] = defaultdict(_Clicks)
        self._traps: defaultdict[int, _Clicks] = defaultdict(_Clicks)

    def add(self, partition: int, written_at: float, hits: Iterable[Hit]) -> None:
        """Remember a record's hits. A duplicate hit changes nothing."""
        for hit in hits:
            if hit.kind != "click":
                continue
            click = _Click(hit.id, hit.at.timestamp(), hit.link_id, written_at, hit.ip)
            if hit.link_id in self._honeypots(hit.campaign):
                self._traps[partition].add(hit.delivery_id, click)
            elif hit.method == "GET":  # what asks by HEAD is no person, and no reason to doubt one who then comes
                self._clicks[partition].add(hit.delivery_id, click)

    def co_occurring(self, partition: int, written_at: float, hit: Hit) -> CoOccurringClicks:
        """The clicks that co-occur with a hit of a record."""
        recent, email = self._clicks[partition], hit.delivery_id
        traps: Sequence[_Click] = self._traps[partition].by_email.get(email, ())
        if traps:
            traps = [one for one in traps if one.ip == hit.ip]
        if not traps and not recent.could_co_occur(hit):  # nearly always
            return ALONE
        clicks = recent.by_email.get(email, ())
        known_until = min([written_at, *(one.written_at for one in clicks if one.id == hit.id)]) + self._ahead
        if any(one.id == hit.id or self._is_trap(one, hit, known_until) for one in traps):
            return _TRAPPED
        return _among(hit, [one for one in clicks if one.written_at <= known_until], min(self._ahead, PAIR_SECONDS))

    def _is_trap(self, one: _Click, hit: Hit, known_until: float) -> bool:
        """Whether a click on the honeypot makes a hit a robot's."""
        at = hit.at.timestamp()
        return one.written_at <= known_until and at - HONEYPOT_SECONDS <= one.at <= at + self._ahead

    def forget(self, partition: int, judged_until: float) -> None:
        """Forget what no record of the partition written after `judged_until` needs."""
        self._clicks[partition].forget(judged_until - REMEMBERED_SECONDS)
        self._traps[partition].forget(judged_until - HONEYPOT_SECONDS - REMEMBERED_SECONDS)

    def __len__(self) -> int:
        return sum(map(len, (*self._clicks.values(), *self._traps.values())))


def _among(hit: Hit, clicks: Iterable[_Click], ahead: float) -> CoOccurringClicks:
    """The clicks of its email that co-occur with a hit; `ahead` is how far after it one counts."""
    at, here = hit.at.timestamp(), network_of(hit.ip)
    near = [(one.at, one.link_id, network_of(one.ip)) for one in clicks if at - PAIR_SECONDS <= one.at <= at + ahead]
    beginnings = {at, *(start for start, _, _ in near if start <= at <= start + MANY_SECONDS)}
    return CoOccurringClicks(
        another_link=hit.kind == "click" and any(link != hit.link_id and there == here for _, link, there in near),
        many_links=any(
            _is_burst([one for one in near if start <= one[0] <= start + MANY_SECONDS], hit.kind, here)
            for start in beginnings
        ),
    )


def _is_burst(clicks: list[tuple[float, str, Network]], kind: HitKind, here: Network) -> bool:
    """Whether these are too many links at once, and an open beside them would be by who followed them."""
    return len({link for _, link, _ in clicks}) >= MANY_LINKS and (
        kind == "click" or any(there == here for _, _, there in clicks)
    )


def network_of(ip: str) -> Network:
    """The /24 of an address, of IPv6 the /48; of what is no address, itself."""
    found = numbered(ip)
    if found is None:
        return ip
    family, number = found
    return family, number >> (8 if family == 4 else 80)
