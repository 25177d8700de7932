"""Every Kafka topic, declared once; `sendlens migrate` creates them, nothing else ever does.

On `hits`, `events` and `mail` a record is a batch: newline-delimited JSON, all of one partition. Elsewhere a record is
one JSON object.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MIB = 1024 * 1024
# Under Kafka's own default for a topic, 1,048,588.
_RECORD_BYTES = 1_000_000
TIMESTAMP_TYPE, BROKER_TIME = "message.timestamp.type", "LogAppendTime"


@dataclass(frozen=True)
class Topic:
    """A topic's contract. `partitions` None means the deployment's number (SENDLENS_PARTITIONS).

    `expires`: compacted, and even the newest record of a key is dropped after `retention_ms`. `broker_time`: a record's
    time is when the broker took it, and not what the writer's clock said. `on_disk`: a Kafka that is alone has a record
    on disk, and not in memory for the operating system to write, before it acknowledges it.
    """

    name: str
    key: str
    holds: str
    batch: bool = False
    partitions: int | None = None
    compacted: bool = False
    expires: bool = False
    retention_ms: int = 7 * _DAY_MS
    max_record_bytes: int | None = None
    stored_in: str = ""
    broker_time: bool = False
    on_disk: bool = False

    @property
    def table(self) -> str:
        """The ClickHouse table that the store inserts its records into."""
        return self.stored_in or self.name

    @property
    def record_bytes(self) -> int:
        """How large a record the topic must take."""
        return self.max_record_bytes or _RECORD_BYTES

    def config(self) -> dict[str, str]:
        """The topic's configuration in Kafka's own words."""
        config = {"cleanup.policy": "compact"}
        if not self.compacted or self.expires:
            policy = "compact,delete" if self.compacted else "delete"
            config = {"cleanup.policy": policy, "retention.ms": str(self.retention_ms)}
        if self.broker_time:
            config[TIMESTAMP_TYPE] = BROKER_TIME
        if self.max_record_bytes is not None:
            config["max.message.bytes"] = str(self.max_record_bytes)
        return config


# The judge asks which deliveries had been written when a hit was: by one clock, for those of ingest and sender may
# differ.
HITS = Topic("hits", key="delivery", holds="Hit", batch=True, broker_time=True)
# The judge answers a record of hits, up to Kafka's own limit of 1 MB, with one of events.
EVENTS = Topic("events", key="delivery", holds="Event", batch=True, max_record_bytes=2 * _MIB)
# An email may be 2 MB of HTML, which JSON's escapes can double; Kafka's own limit is 1 MB.
SENDS = Topic("sends", key="lead", holds="Send", max_record_bytes=6 * _MIB)
# The timing join needs a delivery's time for hours; ClickHouse keeps it for good.
DELIVERIES = Topic("deliveries", key="delivery", holds="Delivery", retention_ms=2 * _DAY_MS, broker_time=True)
# What stands open here was at its mail server when its worker died; ClickHouse keeps that for longer. A power cut that
# took it would have an email sent again.
ATTEMPTS = Topic("attempts", key="delivery", holds="Attempt", retention_ms=2 * _DAY_MS, on_disk=True)
# Whole sends again, until each is settled. Retries end after two days; what an operator is to decide waits the longest.
RETRIES = Topic(
    "retries",
    key="delivery",
    holds="Waiting",
    compacted=True,
    expires=True,
    retention_ms=14 * _DAY_MS,
    max_record_bytes=6 * _MIB + 64 * 1024,
)
# Of a mail so much is read. In base64 it is a third larger, and then alone in its record.
MAX_MAIL_BYTES = 2 * _MIB
MAIL = Topic("mail", key="mailbox", holds="Mail", batch=True, max_record_bytes=3 * _MIB)
POSITIONS = Topic("positions", key="folder", holds="Position", partitions=1, compacted=True)
CAMPAIGNS = Topic("campaigns", key="campaign", holds="Campaign", partitions=1, compacted=True)
PAUSES = Topic("pauses", key="campaign", holds="Pause", partitions=1, compacted=True)
# Who was told "unsubscribed" gets no more mail, whatever happens to the machine.
LEADS = Topic("leads", key="fact", holds="Lead", compacted=True, stored_in="lead_facts", on_disk=True)
LINKS = Topic("links", key="link_id", holds="Link", compacted=True)
# A variant's HTML of 512 kB, which JSON's escapes can double.
PREVIEWS = Topic(
    "previews",
    key="campaign/step/variant",
    holds="Preview",
    partitions=1,
    compacted=True,
    max_record_bytes=2 * _MIB,
)
WEBHOOKS = Topic("webhooks", key="endpoint", holds="Endpoint", partitions=1, compacted=True)
CALLS = Topic("calls", key="endpoint/event", holds="Call", compacted=True)
# A whole send in base64.
DEAD = Topic("dead", key="stage", holds="Dead", partitions=1, retention_ms=30 * _DAY_MS, max_record_bytes=9 * _MIB)

ALL = (
    HITS,
    EVENTS,
    SENDS,
    DELIVERIES,
    ATTEMPTS,
    RETRIES,
    MAIL,
    POSITIONS,
    CAMPAIGNS,
    PAUSES,
    LEADS,
    LINKS,
    PREVIEWS,
    WEBHOOKS,
    CALLS,
    DEAD,
)


_DELIVERY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def is_delivery(key: str) -> bool:
    """Whether a key has the form of a delivery's id."""
    return _DELIVERY.fullmatch(key) is not None


def delivery_partition(delivery_id: str, partitions: int) -> int:
    """The partition of everything about one delivery. The id is a UUIDv5, so its last digits are already uniform."""
    return int(delivery_id[-8:], 16) % partitions


def text_partition(key: str, partitions: int) -> int:
    """The partition of a record keyed by text (lead, link, campaign)."""
    return zlib.crc32(key.encode()) % partitions
