"""A provider's reports at work: each becomes the events of its email, or is counted with the reason why not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog
from msgspec import Struct

from clickhouse.queries import get
from clickhouse.query_client import QueryClient
from decisions.effects.returns import SentEmail
from decisions.providers.events import ProvedEmail, email_of, events_of_report, proved
from decisions.providers.report import Meaning, ProviderReport, meaning_of
from ingest.api.batches import Record, publish
from ingest.api.providers.answered import AnsweredRequests, ProviderAnswer
from ingest.metrics import IngestMetrics
from schemas.errors import Misconfigured, Reject, Retry
from schemas.events import lines
from schemas.providers import PROVIDERS, Provider
from schemas.tokens import Keyring
from schemas.topics import DELIVERIES, EVENTS
from stream.publisher import Publisher

log = structlog.get_logger()

_SHARE = 20  # reports handled before hits get the loop again
# How long ClickHouse is asked again within a request, and how old a report must be to be of an email that won't come.
_PATIENCE, _ASK_EVERY = 3.0, 0.5
_WILL_NOT_COME = timedelta(hours=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_EMAILS = get("sent_emails")


class _Found(Struct, frozen=True):
    report: ProviderReport
    meaning: Meaning
    email: ProvedEmail


class ProviderIntake:
    """Publishes the events that follow from a provider's reports, and remembers which requests it has answered."""

    def __init__(self, keyring: Keyring, publisher: Publisher, reader: QueryClient, metrics: IngestMetrics) -> None:
        self._keyring = keyring
        self._publisher = publisher
        self._reader = reader
        self._metrics = metrics
        self._answered = {provider: AnsweredRequests() for provider in PROVIDERS}

    async def take(self, provider: Provider, request: bytes, reports: Sequence[ProviderReport]) -> ProviderAnswer:
        """Answered when Kafka has every event. `request` is what tells one request from others. Raises Retry: the same
        request may come again, and gives the same events."""
        return await self._answered[provider].once(request, lambda: self._take(provider, reports))

    async def _take(self, provider: Provider, reports: Sequence[ProviderReport]) -> ProviderAnswer:
        found, ignored = await self._found(provider, reports)
        emails = await self._emails(found)
        now, records, accepted = datetime.now(UTC), list[Record](), 0
        for number, one in enumerate(found):
            if number % _SHARE == _SHARE - 1:
                await asyncio.sleep(0)
            result = self._records(provider, one, emails, now)
            self._metrics.provider_reports.labels(provider, result if isinstance(result, str) else "accepted").inc()
            if isinstance(result, str):
                ignored += 1
            else:
                accepted += 1
                records += result
        await publish(self._publisher, records)
        log.info("reports of a provider", provider=provider, accepted=accepted, ignored=ignored)
        return ProviderAnswer(accepted, ignored)

    async def _found(self, provider: Provider, reports: Sequence[ProviderReport]) -> tuple[list[_Found], int]:
        """The reports that may have consequences, and how many have none."""
        found: list[_Found] = []
        for number, report in enumerate(reports):
            if number % _SHARE == _SHARE - 1:
                await asyncio.sleep(0)
            meaning = meaning_of(provider, report.word)
            if meaning is None or meaning.kind == "ignored":
                self._metrics.provider_reports.labels(provider, "unknown-word" if meaning is None else "ignored").inc()
                if meaning is None:
                    log.warning("a provider's word that nobody knows", provider=provider, word=report.word[:60])
                continue
            email = proved(report, self._keyring)
            if email is None:
                self._metrics.provider_reports.labels(provider, "no-token").inc()
                continue
            found.append(_Found(report, meaning, email))
        return found, len(reports) - len(found)

    async def _emails(self, found: Iterable[_Found]) -> dict[str, SentEmail]:
        """The emails as they were sent, of those that somebody has counted. One that left a moment ago may be missing
        from ClickHouse for a second or two, and is waited for."""
        wanted = {str(one.email.claim.delivery_id) for one in found if not one.email.own_sender}
        known: dict[str, SentEmail] = {}
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while missing := wanted - known.keys():
            values = {"deliveries": sorted(missing), "since": _EVER.strftime("%Y-%m-%d %H:%M:%S.000")}
            try:
                key = (_EMAILS.name, msgspec.json.encode(values))
                answer = (await self._reader.answers(key, [_EMAILS], values))[_EMAILS.name]
            except Misconfigured as error:
                raise Retry(f"ClickHouse can't be asked: {error}") from error
            if "error" in answer:
                raise Retry(f"ClickHouse can't answer: {answer['error']}")
            for row in answer["rows"]:
                email = SentEmail(**{**row, "delivery_id": str(row["delivery_id"])})
                known[email.delivery_id] = email
            if asyncio.get_running_loop().time() >= deadline:
                break
            if missing - known.keys():
                await asyncio.sleep(_ASK_EVERY)
        return known

    def _records(
        self, provider: Provider, one: _Found, emails: dict[str, SentEmail], now: datetime
    ) -> list[Record] | str:
        """What is to be published, or why there is nothing, in a word. Raises Retry for an email that may yet come."""
        delivery = str(one.email.claim.delivery_id)
        email = emails.get(delivery) or email_of(one.email, one.report)
        if email is None:
            if one.report.at > now - _WILL_NOT_COME:
                raise Retry("an email that was reported is not stored yet")
            return "unknown-email"
        try:
            events, delivered = events_of_report(
                one.report, one.meaning, email, one.email, provider=provider, keyring=self._keyring, now=now
            )
        except Reject as error:
            return error.reason
        records: list[Record] = []
        if delivered is not None:
            records.append((DELIVERIES, delivery, msgspec.json.encode(delivered)))
        if events:
            records.append((EVENTS, delivery, lines(events)))
        return records or "told-already"
