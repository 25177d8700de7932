"""What a board's questions cost where there is nothing to read: the floor, which no storage and no index makes lower.

`python -m tests.bench.floor` asks an empty database and prints it; `make bench-analytics` asks the full one of a day before
its first email, and writes it to the page. Beside each question stand queries of the same tables and columns that know
nothing of rollups, rates or time: what ClickHouse takes to parse, analyse and plan those is left whatever the views say.
A board's last row is each of its questions by itself, and the round that the page asks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from clickhouse_connect.driver.client import Client

from clickhouse.migrate import migrate
from clickhouse.queries import Query, get
from clickhouse.query_parameters import QueryParameters
from clickhouse.rounds import gathered
from clickhouse.store import connect
from dashboards.boards.ab import AB
from dashboards.boards.campaign import CAMPAIGN_BOARD
from dashboards.boards.overview import OVERVIEW
from schemas.settings import load
from tests.bench import machine
from tests.bench.figures import Table
from tests.support.processes import start_clickhouse

HEAD = ("of a quiet day", "asked", "CPU ms", "quiet form, CPU ms", "wanted", " ")
WANTED_MS, WANTED_AB_MS = 20, 40
_UNTIL = datetime(2026, 2, 20, 13, 37, 12, 345_000, tzinfo=UTC)  # before campaigns.py's first email
_TIMES = 10
_SUMS = "SELECT {sums} FROM {table} FINAL WHERE slot >= '2026-02-19 13:00:00' AND slot < '2026-02-20 14:00:00'"


def measured(client: Client, pid: int) -> Table:
    """Processor time of each question of Overview, Campaign and A/B over a quiet day, as the page asks it."""
    ((measures,),) = client.query(
        "SELECT groupArray(name) FROM system.columns "
        "WHERE database = currentDatabase() AND table = 'email_counts' AND type = 'UInt32'"
    ).result_rows
    sums = ", ".join(f"sum({name}) AS {name}_" for name in measures)
    counts, emails = (_SUMS.format(sums=sums, table=table) for table in ("email_counts", "emails"))
    shapes = {
        "floor: nothing": "SELECT 1",
        f"floor: {len(measures)} sums of the rollups": counts,
        f"floor: {len(measures)} sums of the emails": emails,
        "floor: both, added up": f"{counts} UNION ALL {emails}",
    }
    rows = [("", what, f"{_cpu_ms(client, pid, sql, {}):.0f}", "", "", "") for what, sql in shapes.items()]
    look = get("written_in_period")
    rows.append(("a board, once", look.name, f"{_asked(client, pid, look):.0f}", "", "", ""))
    for board in (OVERVIEW, CAMPAIGN_BOARD, AB):
        wanted = WANTED_AB_MS if board is AB else WANTED_MS
        taken = {query.name: _asked(client, pid, query) for query in board.queries}
        by_itself, together = sum(taken.values()), 0.0
        for query in gathered(board.queries):
            ms = taken[query.name] if query.name in taken else _asked(client, pid, query)
            least = _asked(client, pid, query.of_quiet) if query.quiet else ms
            together += least
            verdict = "reached" if least <= wanted else "missed"
            rows.append(
                (board.key, query.name, f"{ms:.0f}", f"{least:.0f}" if query.quiet else "", f"{wanted}", verdict)
            )
        rows.append((board.key, "all in one round", f"{by_itself:.0f}", f"{together:.0f}", "", ""))
    return Table(HEAD, rows)


def _asked(client: Client, pid: int, query: Query) -> float:
    given = QueryParameters(_UNTIL - timedelta(days=1), _UNTIL, (), "Europe/Paris").parameters()
    return _cpu_ms(client, pid, query.asked, query.values(given))


def _cpu_ms(client: Client, pid: int, sql: str, values: dict[str, object]) -> float:
    """Processor time of one question, of several in a row; the clock's where it is not known whose process it is."""
    client.raw_query(sql, parameters=values, fmt="JSONCompact")
    began = machine.cpu_ms(pid) or time.perf_counter() * 1000
    for _ in range(_TIMES):
        client.raw_query(sql, parameters=values, fmt="JSONCompact")
    return ((machine.cpu_ms(pid) or time.perf_counter() * 1000) - began) / _TIMES


def main(arguments: Sequence[str]) -> int:
    """Asks a database of its own, with nothing in it. Returns the exit code."""
    if arguments:
        print("usage: python -m tests.bench.floor", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="sendlens-bench-") as name:
        server = start_clickhouse(Path(name) / "clickhouse")
        try:
            settings = load(
                clickhouse_url=server.url,
                clickhouse_database="sendlens",
                token_keys="1:0123456789abcdef0123456789abcdef",
            )
            migrate(settings)
            with connect(settings) as client:
                for row in (HEAD, *measured(client, server.pid).rows):
                    print(" | ".join(row))
        finally:
            server.stop()
    print(f"load average {machine.load_average():.1f}: above 2 even processor time is longer")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
