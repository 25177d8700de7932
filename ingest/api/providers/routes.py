"""`POST /v1/providers/{provider}`: webhooks of Amazon SES, SendGrid, Postmark, Mailgun and Brevo.

They show no API key, but a signature or a secret of the provider's own: one that is not set up is not answered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Struct, field

from decisions.providers import brevo, mailgun, postmark, sendgrid, ses
from decisions.providers.report import ProviderReport
from ingest.api.http import openapi
from ingest.api.http.problems import Problem, described
from ingest.api.providers.answered import ProviderAnswer
from ingest.api.providers.intake import ProviderIntake
from ingest.api.providers.signatures import MailgunSignature, SendGridKey, check_mailgun, check_secret
from ingest.api.providers.sns.fetch import Fetch
from ingest.api.providers.sns.messages import Sns, SnsMessage, check_enveloped
from ingest.api.requests import decode
from ingest.metrics import IngestMetrics
from schemas.errors import Reject, Retry
from schemas.providers import Provider
from schemas.settings import Settings

log = structlog.get_logger()

_BODY_BYTES = 5_000_000
_MOST_EVENTS = 20_000  # of one request of SendGrid's, whose bodies have 768 kB
_FORBIDDEN = frozenset({"signature", "stale", "topic"})


class _MailgunBody(Struct):
    signature: MailgunSignature
    event: mailgun.MailgunEvent = field(name="event-data")


_read_sns = msgspec.json.Decoder(SnsMessage).decode
_read_ses = msgspec.json.Decoder(ses.SesRecord).decode
_read_sendgrid = msgspec.json.Decoder(list[sendgrid.SendGridEvent]).decode
_read_postmark = msgspec.json.Decoder(postmark.PostmarkRecord).decode
_read_mailgun = msgspec.json.Decoder(_MailgunBody).decode
_read_brevo = msgspec.json.Decoder(brevo.BrevoEvent).decode


def provider_routes(
    settings: Settings, intake: ProviderIntake, metrics: IngestMetrics, fetch: Fetch | None = None
) -> APIRouter:
    """The router of `/v1/providers`. Raises Misconfigured for a key that can't be read."""
    router = APIRouter(prefix="/providers")
    sns = Sns(settings.ses_topic_arns, fetch)
    sendgrid_key = SendGridKey(settings.sendgrid_public_key) if settings.sendgrid_public_key else None

    async def of_ses(request: Request, body: bytes) -> Response:
        check_enveloped(request.headers)
        message = decode(_read_sns, body)
        await sns.check(message, datetime.now(UTC))
        if message.type == "SubscriptionConfirmation":
            await sns.confirm(message)
            log.info("subscription of SNS confirmed", topic=message.topic_arn)
            return openapi.answer(200, ProviderAnswer(0, 0))
        if message.type == "UnsubscribeConfirmation":
            log.warning("SNS posts here no more: subscribe again, if SES is to report here", topic=message.topic_arn)
            return ignored("ses")
        if ses.is_notice(message.message):
            log.info("SES reached this address: its topic is set up", topic=message.topic_arn)
            return ignored("ses")
        record = decode(_read_ses, message.message.encode("utf-8", "surrogatepass"))
        return await taken("ses", message.message_id.encode(), list(ses.reports(record)))

    async def of_sendgrid(request: Request, body: bytes) -> Response:
        if sendgrid_key is None:
            raise _not_set_up("SENDLENS_SENDGRID_PUBLIC_KEY")
        sendgrid_key.check(request.headers, body, datetime.now(UTC))
        events = decode(_read_sendgrid, body)
        if len(events) > _MOST_EVENTS:
            raise Reject("batch-size", f"at most {_MOST_EVENTS} events in a request")
        return await taken("sendgrid", body, [sendgrid.report(event) for event in events])

    async def of_postmark(request: Request, body: bytes) -> Response:
        check_secret(request.headers, settings.postmark_secret)
        return await taken("postmark", body, [postmark.report(decode(_read_postmark, body))])

    async def of_mailgun(request: Request, body: bytes) -> Response:
        found = decode(_read_mailgun, body)
        # The event is not signed: a token is good for one event alone.
        signed = check_mailgun(found.signature, settings.mailgun_signing_key, datetime.now(UTC))
        return await taken("mailgun", signed, [mailgun.report(found.event)])

    async def of_brevo(request: Request, body: bytes) -> Response:
        check_secret(request.headers, settings.brevo_secret)
        return await taken("brevo", body, [brevo.report(decode(_read_brevo, body))])

    async def taken(provider: Provider, key: bytes, reports: list[ProviderReport]) -> Response:
        return openapi.answer(200, await intake.take(provider, key, reports))

    def ignored(provider: Provider) -> Response:
        metrics.provider_reports.labels(provider, "ignored").inc()
        return openapi.answer(200, ProviderAnswer(0, 1))

    for provider, title, setting, is_set, handle in (
        ("ses", "Amazon SES, through SNS", "SENDLENS_SES_TOPICS", settings.ses_topics, of_ses),
        ("sendgrid", "SendGrid", "SENDLENS_SENDGRID_PUBLIC_KEY", settings.sendgrid_public_key, of_sendgrid),
        ("postmark", "Postmark", "SENDLENS_POSTMARK_SECRET", settings.postmark_secret, of_postmark),
        ("mailgun", "Mailgun", "SENDLENS_MAILGUN_SIGNING_KEY", settings.mailgun_signing_key, of_mailgun),
        ("brevo", "Brevo", "SENDLENS_BREVO_SECRET", settings.brevo_secret, of_brevo),
    ):
        router.add_api_route(
            f"/{provider}",
            _route(provider, handle if is_set else None, setting, metrics),
            methods=["POST"],
            summary=f"Webhook of {title}",
            description="For the provider to call. Deliveries, bounces, complaints and unsubscribes become events of "
            "their email; opens and clicks are not counted. Answered when Kafka has the events.",
            operation_id=f"provider_{provider}",
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
            max_body_size=_BODY_BYTES,
            responses={
                200: openapi.content(ProviderAnswer),
                **described(403, "The signature is none of the provider's, or too old."),
                **described(404, f"{setting} is not set."),
                **described(422, "The body is not what the provider documents."),
            },
        )
    return router


def _route(
    provider: str, handle: Callable[..., object] | None, setting: str, metrics: IngestMetrics
) -> Callable[..., object]:
    async def receive(request: Request) -> Response:
        if handle is None:
            raise _not_set_up(setting)
        try:
            answer: Response = await handle(request, await request.body())  # type: ignore[misc]
        except Reject as error:
            metrics.provider_reports.labels(provider, error.reason).inc()
            log.warning("a webhook was refused", provider=provider, reason=error.reason)
            raise Problem(403 if error.reason in _FORBIDDEN else 422, str(error), reason=error.reason) from None
        except Retry as error:
            metrics.provider_reports.labels(provider, "retry").inc()
            log.warning("a webhook was put off", provider=provider, why=str(error))
            raise
        return answer

    return receive


def _not_set_up(setting: str) -> Problem:
    return Problem(404, f"Set {setting} and restart, to take this provider's webhooks.", reason="not-set-up")
