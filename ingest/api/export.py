"""`GET /v1/export`: rows as they are, for spreadsheets, notebooks and warehouses."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_type_hints

from fastapi import APIRouter, Depends, Request
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.exports.exporting import Exports, guarded
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, read_parameters
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.named_queries import ASKED_OTHERWISE, Campaigns, Since, Until, utc_now
from ingest.api.recipient_list import Links, ListedRecipient, Outcomes, Steps, Variants
from ingest.metrics import IngestMetrics
from schemas.events import Time
from schemas.settings import Settings

Table = Literal["emails", "events", "hits", "recipients"]
Format = Literal["csv", "ndjson", "parquet"]


class EmailRow(Struct, frozen=True, forbid_unknown_fields=True):
    """An email that was sent in the period, and when each thing first happened to it; null for never."""

    delivery_id: Annotated[str, Meta(description=ABOUT["delivery_id"])]
    campaign: Annotated[str, Meta(description=ABOUT["campaign"])]
    step: Annotated[int, Meta(description=ABOUT["step"])]
    variant: Annotated[str, Meta(description=ABOUT["variant"])]
    lead: Annotated[str, Meta(description=ABOUT["lead"])]
    sender: Annotated[str, Meta(description=ABOUT["sender"])]
    recipient_domain: Annotated[str, Meta(description=ABOUT["recipient_domain"])]
    sent_at: Annotated[Time, Meta(description=ABOUT["sent_at"])]
    delivered_at: Annotated[Time | None, Meta(description=ABOUT["delivered_at"])]
    hard_bounced_at: Annotated[Time | None, Meta(description=ABOUT["hard_bounced_at"])]
    soft_bounced_at: Annotated[Time | None, Meta(description=ABOUT["soft_bounced_at"])]
    blocked_at: Annotated[Time | None, Meta(description=ABOUT["blocked_at"])]
    first_open_at: Annotated[Time | None, Meta(description=ABOUT["first_open_at"])]
    first_click_at: Annotated[Time | None, Meta(description=ABOUT["first_click_at"])]
    first_machine_open_at: Annotated[Time | None, Meta(description=ABOUT["first_machine_open_at"])]
    first_raw_open_at: Annotated[Time | None, Meta(description=ABOUT["first_raw_open_at"])]
    first_raw_click_at: Annotated[Time | None, Meta(description=ABOUT["first_raw_click_at"])]
    replied_at: Annotated[Time | None, Meta(description=ABOUT["replied_at"])]
    auto_replied_at: Annotated[Time | None, Meta(description=ABOUT["auto_replied_at"])]
    unsubscribed_at: Annotated[Time | None, Meta(description=ABOUT["unsubscribed_at"])]
    complained_at: Annotated[Time | None, Meta(description=ABOUT["complained_at"])]


class EventRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened in the period. Which columns have something in them goes by `kind`; see schemas/json."""

    id: Annotated[str, Meta(description="The event's id, derived from its cause: the same event has the same id.")]
    kind: Annotated[str, Meta(description="What happened: sent, delivered, bounce, open, click, reply, ...")]
    at: Annotated[Time, Meta(description=ABOUT["at"])]
    delivery_id: Annotated[str, Meta(description="The email; all zeros when it is of none, such as a pause.")]
    campaign: Annotated[str, Meta(description=ABOUT["campaign"])]
    step: Annotated[int, Meta(description=ABOUT["step"])]
    variant: Annotated[str, Meta(description=ABOUT["variant"])]
    lead: Annotated[str, Meta(description=ABOUT["lead"])]
    sender: Annotated[str, Meta(description=ABOUT["sender"])]
    recipient_domain: Annotated[str, Meta(description=ABOUT["recipient_domain"])]
    message_id: Annotated[str, Meta(description="Message-ID of the email, or of the mail that came back.")]
    attempt: Annotated[int, Meta(description="Which attempt to send it was.")]
    bounce_class: Annotated[str, Meta(description=ABOUT["bounce_class"])]
    category: Annotated[str, Meta(description="What a bounce or complaint was about.")]
    status: Annotated[str, Meta(description=ABOUT["status"])]
    diagnostic: Annotated[str, Meta(description="What the mail server said.")]
    reason: Annotated[str, Meta(description=ABOUT["reason"])]
    verdict: Annotated[str, Meta(description=ABOUT["verdict"])]
    rules_version: Annotated[str, Meta(description="The version of the rules that judged.")]
    user_agent: Annotated[str, Meta(description="What the client called itself.")]
    ip: Annotated[str, Meta(description="The client's address.")]
    client: Annotated[str, Meta(description=ABOUT["client"])]
    device: Annotated[str, Meta(description=ABOUT["device"])]
    country: Annotated[str, Meta(description=ABOUT["country"])]
    link_id: Annotated[str, Meta(description="The link that was followed.")]
    via: Annotated[str, Meta(description="By which way it became known.")]
    until: Annotated[Time | None, Meta(description="Of a pause that the lead asked for: no email before that.")]
    list_name: Annotated[str, Meta(description="The list that the lead left.")]
    back: Annotated[int, Meta(description="Of that, 1: taken back.")]
    matched_by: Annotated[str, Meta(description="How a mail that came back was known to be of this email.")]
    subject: Annotated[str, Meta(description=ABOUT["subject"])]
    text: Annotated[str, Meta(description=ABOUT["text"])]
    asks_to_stop: Annotated[int, Meta(description="Of a reply, 1: the person asks for no more mail.")]
    stop_phrase: Annotated[str, Meta(description="The words that ask for it.")]
    stop_line: Annotated[int, Meta(description="The line of the text in which they begin; 0 is the subject.")]
    detail: Annotated[str, Meta(description="More about a pause.")]


class HitRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A request for a pixel or link as it came in, in the period; kept for 90 days."""

    id: Annotated[str, Meta(description="The hit's id.")]
    kind: Annotated[str, Meta(description="open or click.")]
    at: Annotated[Time, Meta(description=ABOUT["at"])]
    delivery_id: Annotated[str, Meta(description=ABOUT["delivery_id"])]
    campaign: Annotated[str, Meta(description=ABOUT["campaign"])]
    step: Annotated[int, Meta(description=ABOUT["step"])]
    variant: Annotated[str, Meta(description=ABOUT["variant"])]
    lead: Annotated[str, Meta(description=ABOUT["lead"])]
    minted_at: Annotated[Time, Meta(description="When the email's token was made.")]
    link_id: Annotated[str, Meta(description="The link that was asked for.")]
    method: Annotated[str, Meta(description="GET or HEAD.")]
    user_agent: Annotated[str, Meta(description="What the client called itself.")]
    ip: Annotated[str, Meta(description="The client's address.")]
    headers: Annotated[str, Meta(description="The headers that rules read, as a JSON object.")]


class RecipientRow(ListedRecipient, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An email with every outcome asked for, as `/v1/recipients` lists it; null for never."""

    links: Annotated[str, Meta(description="The links that a person followed, by their ids, a blank between them.")]


ROWS: dict[Table, type[Struct]] = {
    "emails": EmailRow,
    "events": EventRow,
    "hits": HitRow,
    "recipients": RecipientRow,
}
# Our format: ClickHouse's, the media type.
FORMATS: dict[Format, tuple[str, str]] = {
    "csv": ("CSV", "text/csv; charset=utf-8; header=present"),
    "ndjson": ("JSONEachRow", "application/x-ndjson"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
}


def _texts(row: type[Struct]) -> list[str]:
    return [column for column, type in get_type_hints(row).items() if type is str]


_VERBATIM = {table: get(f"export_{table}") for table in ROWS}
_GUARDED = {
    table: guarded(rows, _texts(row)) for (table, row), rows in zip(ROWS.items(), _VERBATIM.values(), strict=True)
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def export_routes(settings: Settings, exporting: Exports, metrics: IngestMetrics) -> APIRouter:
    """The router of `/v1/export`."""
    router = APIRouter(tags=["numbers"], dependencies=[Depends(caller_of(settings, "export"))])

    @router.get(
        "/export",
        summary="Rows as CSV, NDJSON or Parquet",
        response_class=Response,
        responses={
            200: {
                "description": "The rows. NDJSON has one JSON object a line; CSV and Parquet have the same columns in "
                "the same order.",
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    "application/x-ndjson": {"schema": {"anyOf": [openapi.schema(row) for row in ROWS.values()]}},
                    "application/vnd.apache.parquet": _BINARY,
                },
            },
            **described(406, "`Accept` names none of the formats."),
            **ASKED_OTHERWISE,
            **described(503, "ClickHouse can't answer now, or is busy with other exports."),
        },
    )
    async def export(
        request: Request,
        table: Annotated[
            Table,
            Parameter(
                description="`emails`: those sent in the period, a row each. `events`: what happened in it. `hits`: "
                "requests as they came in, before any judgement. `recipients`: the emails that `/v1/recipients` lists."
            ),
        ],
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
        campaign: Campaigns = None,
        step: Steps = None,
        variant: Variants = None,
        link: Links = None,
        outcome: Outcomes = None,
        format: Annotated[Format | None, Parameter(description="Without it `Accept` decides, and else CSV.")] = None,
        verbatim: Annotated[
            bool, Parameter(description="CSV only: leave cells that begin like a formula as they are.")
        ] = False,
    ) -> Response:
        """Streamed as ClickHouse reads it, in no particular order, every row once, for half an hour at most. A transfer
        that ends without its last chunk broke off: throw it away and ask again.

        In CSV a cell of text that begins with `=`, `+`, `-` or `@`, whatever blanks before it, with a tab or a line
        break gets an apostrophe before it, because spreadsheets run such cells and strangers write some of them: user
        agents, subjects, replies. Control characters, which terminals obey, become U+FFFD, and bidirectional overrides
        are left out. NDJSON, Parquet and `verbatim=true` have every text as it is."""
        if any((step, variant, link, outcome)) and table != "recipients":
            raise Problem(422, "step, variant, link and outcome are for table=recipients.", reason="table-invalid")
        asked = read_parameters(
            since,
            until,
            campaign,
            "UTC",
            utc_now(),
            steps=step,
            variants=variant,
            links=link,
            outcomes=outcome,
        )
        chosen = format or _accepted(request.headers.get("accept", ""))
        kind, media_type = FORMATS[chosen]
        rows = (_GUARDED if chosen == "csv" and not verbatim else _VERBATIM)[table]
        columns = ROWS[table].__struct_fields__
        head = (",".join(f'"{column}"' for column in columns) + "\n").encode() if chosen == "csv" else b""
        name = f"sendlens-{table}-{asked.since:%Y%m%d}-{asked.until:%Y%m%d}.{chosen}"
        headers = {
            "Content-Type": media_type,
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }

        def count(result: str) -> None:
            metrics.exports.labels(table, chosen, result).inc()

        return await exporting.answer(rows, rows.values(asked.parameters()), kind, head, headers, count)

    return router


def _accepted(accept: str) -> Format:
    """The format that the caller likes best; CSV when it does not mind. Raises Problem when it takes none."""
    wishes: list[tuple[float, str]] = []
    for entry in filter(None, map(str.strip, accept.lower().split(","))):
        media_type, *parameters = map(str.strip, entry.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        wishes.append((float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 0.0, media_type))
    if not wishes:
        return "csv"
    for weight, wish in sorted(wishes, key=lambda one: -one[0]):
        for format, (_, full) in FORMATS.items():
            media_type = full.partition(";")[0]
            if weight and wish in (media_type, "*/*", media_type.partition("/")[0] + "/*"):
                return format
    raise Problem(406, "This is to be had as " + ", ".join(full.partition(";")[0] for _, full in FORMATS.values()))
