"""What the batches of `/v1` for a platform's own system share: their items, and publishing what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from ingest.api.campaigns import FindCampaign
from ingest.api.http.problems import Problem
from schemas.errors import Reject
from schemas.events import Campaign
from schemas.topics import Topic
from stream.publisher import Publisher

_SECONDS = 30.0  # that Kafka may take over a whole batch

# A record to publish: topic, key, value.
Record = tuple[Topic, str, bytes]


class RejectedItem(msgspec.Struct):
    """What can't be taken, and why: `reason` is one word, `detail` says where."""

    index: int
    reason: str
    detail: str


def batch(read: Callable[[], list[msgspec.Raw]], most: int) -> list[msgspec.Raw]:
    """The items of a body. Raises Problem unless it is a batch of one to so many."""
    try:
        found: list[msgspec.Raw] = read()
    except Reject as error:
        raise Problem(400, str(error), reason=error.reason) from None
    if not 1 <= len(found) <= most:
        raise Problem(400, f"A batch has 1 to {most} items; this one has {len(found)}.", reason="batch-size")
    return found


async def declared(known: FindCampaign, campaign: str) -> Campaign:
    found = await known(campaign)
    if found is None:
        raise Reject("campaign-unknown", "declare it with POST /v1/campaigns first")
    return found


async def publish(publisher: Publisher, records: Iterable[Record]) -> None:
    """Return when Kafka has all. Raises Retry: those that arrived are the same when they are told again."""
    await asyncio.gather(*(publisher.publish(*record, _SECONDS) for record in records))
