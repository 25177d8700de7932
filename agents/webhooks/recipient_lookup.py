"""To whom an email went, for endpoints that ask for it: by its sent event, just read or stored in ClickHouse."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import structlog

from clickhouse.ask import Questions
from decisions.effects.webhook_messages import WebhookMessage
from schemas.errors import Retry

log = structlog.get_logger()

# How long a sent event that was read is remembered: the store has it by then. Not longer, for an address that was
# erased must not be told any more.
_REMEMBERED_SECONDS = 60.0
_MOST = 50_000
# How long an email may be missing from ClickHouse before its event is told without the address.
_PATIENCE_SECONDS = 10.0


class RecipientLookup:
    """The addresses of emails. Call everything on the event loop."""

    def __init__(self, queries: Questions, clock: Callable[[], float] = time.monotonic) -> None:
        self._queries = queries
        self._clock = clock
        self._sent: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._missing_since: dict[str, float] = {}

    def remember(self, messages: Iterable[WebhookMessage]) -> None:
        """Take note of sent events, which say it themselves."""
        now = self._clock()
        for message in messages:
            if message.recipient:
                self._sent[message.delivery] = (now, message.recipient)
                self._sent.move_to_end(message.delivery)
        while self._sent and (
            len(self._sent) > _MOST or next(iter(self._sent.values()))[0] < now - _REMEMBERED_SECONDS
        ):
            self._sent.popitem(last=False)

    async def of(self, messages: Sequence[WebhookMessage]) -> dict[str, str]:
        """By delivery; '' where it is not known. Raises Retry while ClickHouse is away or may not have an email yet."""
        wanted = {one.delivery: str(one.data["campaign"]) for one in messages if one.delivery}
        found = {delivery: self._sent[delivery][1] for delivery in wanted if delivery in self._sent}
        rest = sorted(wanted.keys() - found.keys())
        if rest:
            campaigns = sorted({wanted[delivery] for delivery in rest})
            rows = await self._queries.ask("recipient_addresses", campaigns=campaigns, deliveries=rest)
            found |= {str(delivery): str(address) for delivery, address in rows}
            self._wait_for([delivery for delivery in rest if delivery not in found])
        for delivery in wanted:
            self._missing_since.pop(delivery, None)
        return {delivery: found.get(delivery, "") for delivery in wanted}

    def close(self) -> None:
        self._queries.close()

    def _wait_for(self, missing: Sequence[str]) -> None:
        now = self._clock()
        since = [self._missing_since.setdefault(delivery, now) for delivery in missing]
        if since and now - max(since) < _PATIENCE_SECONDS:
            raise Retry(f"ClickHouse does not have {len(missing)} emails yet that webhooks are told of")
