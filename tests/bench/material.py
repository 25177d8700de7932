"""What the benchmarks are fed: many leads, agents and addresses, the same for everyone who is compared."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kafka import KafkaProducer

from schemas.events import Delivery, Hit, HitKind, lines
from schemas.settings import Settings
from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from schemas.topics import DELIVERIES, HITS, Topic, delivery_partition

HITS_A_RECORD = 50

_SEED = 7
_CAMPAIGN = "spring-launch"
_DELIVERIES = 20_000
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{a}.0.{b}.{c} Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{a}.{c} Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{c} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E{a}",
    "Mozilla/5.0 (Linux; Android 15; Pixel {c}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{a}.0.{b}.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.{b})",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{a}.0) Gecko/20100101 Thunderbird/{a}.{c}.0",
    "python-requests/2.{a}.{c}",
    "Mozilla/5.0 (compatible; bingbot/2.{c}; +http://www.bing.com/bingbot.htm)",
    "curl/8.{c}.{a}",
)
_AGENT_STRINGS = 2_000


def some_agents(rng: random.Random) -> list[str]:
    return [
        rng.choice(_AGENTS).format(a=rng.randint(100, 140), b=rng.randint(1000, 9000), c=rng.randint(0, 9))
        for _ in range(_AGENT_STRINGS)
    ]


def some_addresses(rng: random.Random) -> list[str]:
    """From the ranges for benchmarks and documentation (RFC 2544, RFC 3849): nobody's."""
    v4 = [f"198.{rng.choice((18, 19))}.{rng.randint(0, 255)}.{rng.randint(1, 254)}" for _ in range(45_000)]
    return v4 + [f"2001:db8::{rng.randrange(1 << 16):x}:{rng.randrange(1 << 16):x}" for _ in range(5_000)]


def requests(token_keys: str, count: int) -> Iterator[tuple[str, str]]:
    """Path and user agent of pixel requests, each token another lead's."""
    rng, keyring = random.Random(_SEED), Keyring.parse(token_keys)
    minted_at, agents = int(datetime.now(UTC).timestamp()) - 3600, some_agents(random.Random(_SEED))
    for number in range(count):
        lead = f"lead-{number}"
        claim = Claim(delivery_id(_CAMPAIGN, 1, lead), _CAMPAIGN, 1, "AB"[number % 2], lead, minted_at)
        yield f"/o/{keyring.sign(Purpose.OPEN, claim)}.gif", rng.choice(agents)


class Load:
    """Hits of a known number, and the deliveries that they belong to. Same seed, same load, but for the times."""

    def __init__(self, hits: int) -> None:
        rng, now = random.Random(_SEED), datetime.now(UTC)
        agents, addresses = some_agents(rng), some_addresses(rng)
        self.count = hits
        self.deliveries = [
            Delivery(delivery_id=str(delivery_id(_CAMPAIGN, 1, f"lead-{n}")), request_id=_uuid(rng), at=now)
            for n in range(_DELIVERIES)
        ]
        self.hits: list[tuple[str, bytes]] = []
        self.ids: set[str] = set()
        for number in range(hits):
            lead = rng.randrange(_DELIVERIES)
            kind: HitKind = "click" if number % 5 == 0 else "open"
            hit = Hit(
                id=_uuid(rng),
                kind=kind,
                at=now + timedelta(seconds=rng.choice((0.5, 1.0, 20.0, 300.0, 3600.0)) + rng.random()),
                delivery_id=self.deliveries[lead].delivery_id,
                campaign=_CAMPAIGN,
                step=1,
                variant="AB"[lead % 2],
                lead=f"lead-{lead}",
                minted_at=now - timedelta(seconds=5),
                link_id=f"{lead % 20:064x}" if kind == "click" else "",
                user_agent=rng.choice(agents),
                ip=rng.choice(addresses),
                headers={"accept": "image/avif,image/webp,*/*"},
            )
            self.hits.append((hit.delivery_id, lines([hit])))
            self.ids.add(hit.id)

    def records(self, partitions: int, size: int) -> Iterator[tuple[int, bytes]]:
        """Partition and value of records with `size` hits each; the last of a partition may hold fewer."""
        lanes: list[list[bytes]] = [[] for _ in range(partitions)]
        for delivery, line in self.hits:
            number = delivery_partition(delivery, partitions)
            lane = lanes[number]
            lane.append(line)
            if len(lane) == size:
                yield number, b"".join(lane)
                lane.clear()
        for number, lane in enumerate(lanes):
            if lane:
                yield number, b"".join(lane)


def preload(settings: Settings, load: Load, size: int) -> int:
    """Put deliveries and hits on their topics; returns how many records of hits that were."""
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka_servers, linger_ms=20, batch_size=256 * 1024, max_request_size=8 << 20
    )
    try:
        partitions = settings.partitions_of(DELIVERIES)
        for delivery in load.deliveries:
            number = delivery_partition(delivery.delivery_id, partitions)
            _send(producer, settings, DELIVERIES, number, lines([delivery])[:-1])
        count = 0
        for number, value in load.records(settings.partitions_of(HITS), size):
            _send(producer, settings, HITS, number, value)
            count += 1
        producer.flush(timeout=60)
        return count
    finally:
        producer.close()


def _send(producer: KafkaProducer, settings: Settings, topic: Topic, partition: int, value: bytes) -> None:
    producer.send(settings.topic(topic), value=value, partition=partition)


def _uuid(rng: random.Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))
