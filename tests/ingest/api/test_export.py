"""`GET /v1/export`: the same rows in every format, whatever strangers wrote into them, and never a part for the whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from clickhouse.store import connect, insert_lines
from ingest.api.export import ROWS, Table
from schemas.events import Clicked, Replied, lines
from schemas.keys import new_key
from schemas.settings import Settings
from tests.dashboards.data import PICK_AT, Email, insert_known_week
from tests.ingest.api.test_sends import problem_of
from tests.ingest.room import Room, running
from tests.support.processes import free_port

WEEK = {"since": "2026-03-02", "until": "2026-03-09"}
SOON = datetime.now(UTC) - timedelta(hours=1)  # hits are kept for 90 days only
STRANGE = (
    '=HYPERLINK("http://example.com")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\r\n=1",
    'a,"b"\nc',
    "'=1",
    "＝1",
    "çé🙂",
    "",
)
# What each becomes where a spreadsheet may open it.
TOLD = (
    '\'=HYPERLINK("http://example.com")',
    "'+1",
    "'-1",
    "'@SUM(A1)",
    "'\tx",
    "'\r\n=1",
    'a,"b"\nc',
    "'=1",
    "'＝1",
    "çé🙂",
    "",
)


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Settings:
    """The known week, and what strangers wrote a little ago: as events and as hits."""
    with connect(own_database) as client:
        insert_known_week(client)
        strange = [Email("strange", 1, "A", f"lead-{n}", SOON) for n in range(len(STRANGE))]
        for _ in range(2):
            insert_lines(
                client, "events", lines(event for n, email in enumerate(strange) for event in said(email, STRANGE[n]))
            )
            insert_lines(client, "hits", b"".join(hit(email, STRANGE[n]) for n, email in enumerate(strange)))
    return own_database


def said(email: Email, text: str) -> Iterator[Replied | Clicked]:
    common = email.common("reply", SOON)
    yield Replied(
        **common, sender="a@example.com", message_id="<1@example.com>", matched_by="token", subject=text, text=text
    )  # type: ignore[arg-type]
    common = email.common("click", SOON)
    yield Clicked(**common, verdict="bot", reason="x", rules_version="1", user_agent=text, link_id="f" * 64)  # type: ignore[arg-type]


def hit(email: Email, agent: str) -> bytes:
    common = email.common("open", SOON) | {"kind": "open", "minted_at": SOON, "user_agent": agent}
    return msgspec.json.encode(common | {"ip": "192.0.2.1", "method": "GET", "headers": {"accept": agent}}) + b"\n"


@pytest.fixture
async def room(asked: Settings) -> AsyncIterator[Room]:
    async with running(asked) as room:
        yield room


async def rows_of(room: Room, format: str, **params: str) -> list[dict[str, Any]]:
    """The rows of an export, times as datetimes, in one order."""
    answer = await room.client.get("/v1/export", params={"format": format, **params})
    assert answer.status_code == 200, answer.text
    return sorted(
        parsed(answer.content, format, params["table"]), key=lambda row: str(row.get("id", row["delivery_id"]))
    )


def parsed(content: bytes, format: str, table: str) -> list[dict[str, Any]]:
    row = ROWS[table]  # type: ignore[index]
    if format == "parquet":
        read: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
        assert all(list(one) == list(row.__struct_fields__) for one in read)
        return read
    if format == "ndjson":
        return [msgspec.structs.asdict(msgspec.json.decode(line, type=row)) for line in content.splitlines()]
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    cells = [
        {name: None if name.endswith(("_at", "until")) and cell == "" else cell for name, cell in one.items()}
        for one in reader
    ]
    assert tuple(reader.fieldnames or ()) == row.__struct_fields__
    return [msgspec.structs.asdict(msgspec.convert(one, row, strict=False)) for one in cells]


@pytest.mark.parametrize("table", ROWS)
async def test_every_format_has_the_same_rows_each_once(room: Room, table: Table) -> None:
    period = {"since": "2026-03-02", "until": "now"}
    ndjson = await rows_of(room, "ndjson", table=table, **period)
    assert await rows_of(room, "parquet", table=table, **period) == ndjson
    assert await rows_of(room, "csv", table=table, verbatim="true", **period) == ndjson
    n = len(STRANGE)
    with connect(room.settings) as client:
        events = int(client.command("SELECT uniqExact(id) FROM events WHERE at >= '2026-03-02'"))
    assert len(ndjson) == {"emails": 50, "recipients": 50, "events": events, "hits": n}[table]
    assert len({row.get("id", row["delivery_id"]) for row in ndjson}) == len(ndjson)


async def test_emails_are_those_of_the_boards(room: Room) -> None:
    emails = await rows_of(room, "ndjson", table="emails", campaign="spring", **WEEK)
    assert len(emails) == 40
    assert len([email for email in emails if email["first_open_at"]]) == 18
    assert {email["hard_bounced_at"] is None for email in emails} == {True, False}
    picked = await rows_of(room, "csv", table="emails", campaign="owner's pick", **WEEK)
    assert {email["campaign"] for email in picked} == {"owner's pick"}
    assert min(email["sent_at"] for email in picked) == PICK_AT


@pytest.mark.parametrize(("table", "column"), [("events", "user_agent"), ("events", "subject"), ("hits", "user_agent")])
async def test_what_a_spreadsheet_would_run_is_told_as_text_unless_asked_for(
    room: Room, table: str, column: str
) -> None:
    def said(rows: list[dict[str, Any]]) -> set[str]:
        return {
            row[column]
            for row in rows
            if table == "hits" or row["kind"] == ("click" if column == "user_agent" else "reply")
        }

    asked = {"table": table, "campaign": "strange", "since": "now-1d"}
    assert said(await rows_of(room, "csv", **asked)) == set(TOLD)
    for format in ("ndjson", "parquet"):
        assert said(await rows_of(room, format, **asked)) == set(STRANGE)
    assert said(await rows_of(room, "csv", verbatim="true", **asked)) == set(STRANGE)


@pytest.mark.parametrize(
    ("accept", "format", "type_"),
    [
        ("", None, "text/csv; charset=utf-8; header=present"),
        ("*/*", None, "text/csv; charset=utf-8; header=present"),
        ("application/x-ndjson", None, "application/x-ndjson"),
        ("text/html, application/vnd.apache.parquet", None, "application/vnd.apache.parquet"),
        ("text/csv;q=0.2, application/x-ndjson;q=0.9", None, "application/x-ndjson"),
        ("text/html", "parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_the_format_goes_by_the_parameter_and_else_by_accept(
    room: Room, accept: str, format: str | None, type_: str
) -> None:
    params = {"table": "emails", **WEEK} | ({"format": format} if format else {})
    answer = await room.client.get("/v1/export", params=params, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, type_)
    assert answer.headers["content-disposition"].startswith('attachment; filename="sendlens-emails-20260302-20260309.')


async def test_nothing_in_the_period_is_a_header_or_nothing_at_all(room: Room) -> None:
    empty = {"table": "events", "since": "2020-01-01", "until": "2020-01-02"}
    for format in ("csv", "ndjson", "parquet"):
        assert await rows_of(room, format, **empty) == []


@pytest.mark.parametrize(
    ("query", "accept", "status", "says"),
    [
        ("", "*/*", 422, "table"),
        ("table=secrets", "*/*", 422, "emails"),
        ("table=emails&format=xlsx", "*/*", 422, "csv"),
        ("table=emails&since=soon", "*/*", 422, "since: write"),
        ("table=emails&verbatim=perhaps", "*/*", 422, "verbatim"),
        ("table=emails", "text/html", 406, "text/csv"),
        ("table=emails", "text/csv;q=0", 406, "text/csv"),
    ],
)
async def test_what_can_not_be_had_is_refused(room: Room, query: str, accept: str, status: int, says: str) -> None:
    answer = await room.client.get(f"/v1/export?{query}", headers={"Accept": accept})
    assert answer.status_code == status
    assert says in problem_of(answer)["detail"]


async def test_it_takes_a_key_of_its_own_scope(asked: Settings) -> None:
    given = {scope: new_key() for scope in ("read", "export")}
    keys = ",".join(f"{scope}={scope}={kept}" for scope, (_, kept) in given.items())
    async with running(asked.model_copy(update={"api_keys": keys})) as room:
        for scope, status in (("read", 403), ("export", 200), ("", 401)):
            headers = {"Authorization": f"Bearer {given[scope][0]}"} if scope else {}
            answer = await room.client.get("/v1/export", params={"table": "emails", **WEEK}, headers=headers)
            assert answer.status_code == status


async def test_while_clickhouse_is_away_nothing_is_begun(settings: Settings) -> None:
    async with running(settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free_port()}"})) as room:
        answer = await room.client.get("/v1/export?table=events")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_the_columns_are_described_and_all_there(room: Room) -> None:
    document = (await room.client.get("/openapi.json")).json()
    content = document["paths"]["/v1/export"]["get"]["responses"]["200"]["content"]
    named = [one["$ref"].rpartition("/")[2] for one in content["application/x-ndjson"]["schema"]["anyOf"]]
    rows = [document["components"]["schemas"][name] for name in named]
    assert {tuple(one["properties"]) for one in rows} == {row.__struct_fields__ for row in ROWS.values()}
    for one in rows:
        assert all(json.dumps(column).count('"description"') for column in one["properties"].values())
