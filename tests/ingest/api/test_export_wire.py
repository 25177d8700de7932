"""Exports over the wire, as Granian serves them: large ones in little memory, and one that breaks off is seen to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from clickhouse.store import connect
from schemas.settings import Settings
from tests.ingest.conftest import KEYS
from tests.ingest.room import metric_of
from tests.ingest.served_process import served
from tests.support.broker import Broker, create_topics
from tests.support.waiting import wait_until

ROWS = 400_000
ALL = {"table": "events", "since": "2026-03-01", "until": "2026-03-20", "format": "ndjson"}
NONE = ALL | {"since": "2025-03-01", "until": "2025-03-20"}
# What is cut off in the middle: another campaign's, whose last text can't be read.
BAD = ALL | {"since": "2026-05-01", "until": "2026-05-20"}
_EVENTS = """
INSERT INTO events (id, kind, at, delivery_id, campaign, step, variant, lead, verdict, user_agent, detail)
SELECT
    reinterpretAsUUID(number + 1), 'open', toDateTime64('{day} 00:00:00', 3) + number, reinterpretAsUUID(number + 1),
    '{campaign}', 1, 'A', toString(number), 'human',
    'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0', hex(cityHash64(number))
FROM numbers({rows})
"""


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Settings:
    """So many events, in a database of their own; nothing is made of them."""
    with connect(own_database) as client:
        views = client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
        )
        for (view,) in views.result_rows:
            client.command(f"DROP VIEW {view}")
        client.command(_EVENTS.format(day="2026-03-02", rows=ROWS, campaign="good"))
        client.command(_EVENTS.format(day="2026-05-02", rows=100_000, campaign="bad"))
        last = "SELECT lead FROM events WHERE campaign = 'bad' ORDER BY delivery_id DESC LIMIT 1"
        (lead,) = client.query(last).first_row
        client.command("ALTER TABLE events DROP COLUMN text SETTINGS mutations_sync = 2")
        unreadable = f"throwIf(campaign = 'bad' AND lead = '{lead}', 'unreadable')"
        client.command(f"ALTER TABLE events ADD COLUMN text String ALIAS if({unreadable} = 0, '', 'x')")
    return own_database


@pytest.fixture(scope="module")
def ingest(broker: Broker, database: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Its address and its process."""
    more = {"kafka": broker.bootstrap, "topic_prefix": f"w{uuid4().hex[:8]}-", "token_keys": KEYS, "partitions": 1}
    settings = database.model_copy(update={**more, "data_dir": tmp_path_factory.mktemp("ingest")})
    create_topics(settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SENDLENS_CLICKHOUSE_DATABASE", database.clickhouse_database)
        with served(settings) as (url, process):
            yield url, process.pid


def resident(pid: int) -> int:
    """Bytes that the process and its children hold."""
    held = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    for task in Path(f"/proc/{pid}/task").iterdir():
        held += sum(resident(int(child)) for child in (task / "children").read_text().split())
    return held


@contextmanager
def watched(read: Callable[[], int]) -> Iterator[list[int]]:
    """The most that was read meanwhile, in a list."""
    most, over = [read()], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], read())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def counted(url: str, result: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    return sum(
        metric_of(text, "sendlens_exports_total", table="events", format=format, result=result)
        for format in ("csv", "ndjson", "parquet")
    )


def export(url: str, params: dict[str, str]) -> Iterator[bytes]:
    """The pieces of an export, as they come."""
    with httpx.stream("GET", f"{url}/v1/export", params=params, timeout=60) as answer:
        assert answer.status_code == 200
        yield from answer.iter_raw()


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_a_large_export_is_whole_and_takes_no_memory(ingest: tuple[str, int], format: str) -> None:
    url, pid = ingest
    list(export(url, NONE))  # nothing, but all is loaded
    before, whole = resident(pid), counted(url, "whole")
    lines = size = 0
    with watched(lambda: resident(pid)) as most:
        for piece in export(url, ALL | {"format": format}):
            lines += piece.count(b"\n")
            size += len(piece)
    assert lines == ROWS + (format == "csv")
    assert size > 100_000_000
    assert most[0] - before < 25_000_000
    assert counted(url, "whole") == whole + 1


def test_hits_are_answered_meanwhile(ingest: tuple[str, int]) -> None:
    url, _ = ingest
    answered = 0
    with httpx.Client() as other:
        for _ in export(url, ALL):
            if answered < 50:
                assert other.get(f"{url}/o/nonsense.gif", timeout=2).status_code == 200
                answered += 1
    assert answered == 50


def test_one_that_breaks_off_ends_without_its_end_and_without_the_error(ingest: tuple[str, int]) -> None:
    """By the time that ClickHouse meets what it can't read it has begun to answer, with status 200."""
    url, _ = ingest
    broken, got = counted(url, "broken"), []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        got.extend(export(url, BAD))
    assert counted(url, "broken") == broken + 1
    got = []
    with contextlib.suppress(httpx.RemoteProtocolError):
        for piece in export(url, BAD):
            got.append(piece)
    assert sum(map(len, got)) > 10_000_000
    assert b"exception" not in b"".join(got).lower()


def test_a_caller_that_leaves_ends_the_query(ingest: tuple[str, int], database: Settings) -> None:
    url, _ = ingest
    left = counted(url, "left")
    leaving = export(url, ALL)
    next(leaving)
    leaving.close()  # type: ignore[attr-defined]
    wait_until(lambda: counted(url, "left") == left + 1, 20, "the count of exports that were left")
    running = "SELECT count() FROM system.processes WHERE query LIKE '%AS told%' AND query NOT LIKE '%processes%'"
    with connect(database) as client:
        wait_until(lambda: client.query(running).first_row == (0,), 20, "the end of the query")


def test_no_more_than_two_run_at_once(ingest: tuple[str, int]) -> None:
    url, _ = ingest
    left = counted(url, "left")
    one, two = export(url, ALL), export(url, ALL)
    next(one)
    next(two)
    third = httpx.get(f"{url}/v1/export", params=ALL)
    assert (third.status_code, "retry-after" in third.headers) == (503, True)
    for leaving in (one, two):
        leaving.close()  # type: ignore[attr-defined]
    wait_until(lambda: counted(url, "left") == left + 2, 20, "the end of both")
    assert list(export(url, NONE)) == []
