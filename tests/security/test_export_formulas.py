"""Every text column of `/v1/export` with what a spreadsheet would run: in CSV no cell begins a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx
import msgspec
import pytest

from clickhouse.store import connect, insert_lines
from ingest.api.export import ROWS, Table
from tests.dashboards.data import Email
from tests.security.house import house
from tests.support.broker import Broker

BEGINNINGS = (
    "=",
    "+",
    "-",
    "@",
    "＝",
    "＋",
    "－",
    "＠",
    "\t=",
    "\r\n=",
    " =",
    "\u00a0=",
    "\u200b=",
    "\ufeff=",
    "\u202e=",
)
FORMULAS = tuple(f"{beginning}1+cmd|' /C calc'!A{n}" for n, beginning in enumerate(BEGINNINGS))
SOON = datetime.now(UTC) - timedelta(hours=1)  # hits are kept for 90 days only
# Columns that the pipeline itself fills, with ids, enumerations, numbers and JSON; all else is a stranger's text.
OUR_OWN = {
    "id",
    "delivery_id",
    "kind",
    "step",
    "attempt",
    "bounce_class",
    "verdict",
    "link_id",
    "links",
    "via",
    "method",
    "headers",
}
_RUN = frozenset("=+-@＝＋－＠")


@pytest.fixture(scope="module")
def client(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with house(broker, tmp_path_factory.mktemp("formulas"), FORMULAS) as (url, settings):
        with connect(settings) as writer:
            insert_lines(writer, "hits", b"".join(map(hit, FORMULAS)))
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client


def hit(word: str) -> bytes:
    common = Email(word, 1, word, word, SOON).common("open", SOON)
    said = {"user_agent": word, "ip": word, "method": "GET", "headers": {word: word}}
    return msgspec.json.encode(common | {"kind": "open", "minted_at": SOON} | said) + b"\n"


def rows(client: httpx.Client, table: Table, **params: str) -> list[dict[str, Any]]:
    since = "now-1d" if table == "hits" else "2026-03-01"
    until = "now" if table == "hits" else "2026-03-09"
    answer = client.get("/v1/export", params={"table": table, "since": since, "until": until, **params})
    assert answer.status_code == 200, answer.text
    if params["format"] == "csv":
        return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    return [json.loads(line) for line in answer.text.split("\n") if line]


def runs(cell: str) -> bool:
    """Whether a spreadsheet would: they pass over blanks and what they can't show before they look for a formula."""
    shown = cell.lstrip("".join(one for one in cell if one.isspace() or not one.isprintable()))
    return shown[:1] in _RUN if shown else False


@pytest.mark.parametrize("table", get_args(Table))
def test_no_cell_of_any_column_is_a_formula_in_csv(client: httpx.Client, table: Table) -> None:
    told = rows(client, table, format="csv")
    assert told
    assert list(told[0]) == list(ROWS[table].__struct_fields__)
    for row in told:
        assert [name for name, cell in row.items() if runs(cell)] == []


@pytest.mark.parametrize("table", get_args(Table))
def test_every_text_column_was_put_to_the_test(client: httpx.Client, table: Table) -> None:
    """As the rows are, where nobody runs them, every column of text has formulas in it."""
    there = rows(client, table, format="ndjson")
    texts = {name for name, kind in ROWS[table].__annotations__.items() if "str" in str(kind)} - OUR_OWN
    assert {name for name in texts if not any(str(row[name]).endswith(FORMULAS) for row in there)} == set()
    verbatim = rows(client, table, format="csv", verbatim="true")
    assert any(runs(cell) for row in verbatim for cell in row.values())
