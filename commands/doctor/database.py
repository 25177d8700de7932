"""Is ClickHouse what we need? Version, both users' rights, clock, merges, replicas, disks, what grows for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.ask import Row, rows
from clickhouse.console import ConsoleAddress, ask
from clickhouse.migrate import OLDEST_CLICKHOUSE
from clickhouse.schema import FOLDER, migrations
from clickhouse.store import connect
from commands.doctor.diagnosis import Diagnosis, Examination
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

# Clocks further apart than these are said, and are wrong: a scanner's window is 2 s, an unsubscribe's session 12 hours.
_CLOCK_WARN, _CLOCK_FAIL = 2.0, 30.0
# Of parts_to_delay_insert, 1,000 in a partition: half of it is no burst any more.
_MOST_PARTS = 500
_LEAST_FREE = 0.1
_FULL_MONTHS = 3.0
_LARGE_LOG = 1 << 30
_RIGHTS = (
    "SELECT",
    "INSERT",
    "ALTER",
    "CREATE TABLE",
    "CREATE VIEW",
    "DROP TABLE",
    "DROP VIEW",
    "TRUNCATE",
    "OPTIMIZE",
)


def clickhouse(given: Examination) -> Iterator[Diagnosis]:
    """Server, clock, schema, merges, replicas and changes."""
    settings = given.settings
    with closing(connect(settings, database="")) as client:
        before = datetime.now(UTC)
        ((version, at),) = rows(client, "doctor_server")
        after = datetime.now(UTC)
    said = f"{version} at {settings.clickhouse_url}"
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_CLICKHOUSE:
        yield Diagnosis("clickhouse", "fail", said, f"Sendlens needs {'.'.join(map(str, OLDEST_CLICKHOUSE))} or newer")
    else:
        yield Diagnosis("clickhouse", "ok", said)
    yield _clock(before, at, after)
    try:
        with closing(connect(settings)) as client:
            yield from _schema(client)
            yield from _work(client)
    except Retry as error:
        if "UNKNOWN_DATABASE" not in str(error):
            raise
        yield Diagnosis("schema", "fail", f"no database {settings.clickhouse_database}", "run `sendlens migrate`")


def _clock(before: datetime, at: datetime, after: datetime) -> Diagnosis:
    """The server read its clock between `before` and `after`, so that much of a difference is no difference."""
    apart = max((before - at).total_seconds(), (at - after).total_seconds(), 0.0)
    said = f"ClickHouse's clock is {apart:.1f} s {'behind' if at < before else 'ahead of'} this machine's"
    todo = "set both by NTP (`timedatectl set-ntp true`): verdicts and pauses go by time"
    if apart < _CLOCK_WARN:
        return Diagnosis("clock", "ok", "ClickHouse's and this machine's agree")
    return Diagnosis("clock", "fail" if apart >= _CLOCK_FAIL else "warn", said, todo)


def _schema(client: Client) -> Iterator[Diagnosis]:
    try:
        applied = {name for (name,) in rows(client, "doctor_applied")}
    except Retry:
        applied = set()
    waiting = [one.name for one in migrations(FOLDER) if one.name not in applied]
    if waiting:
        yield Diagnosis("schema", "fail", f"not applied: {', '.join(waiting)}", "run `sendlens migrate`")
    else:
        yield Diagnosis("schema", "ok", "as this release wants it")


def _work(client: Client) -> Iterator[Diagnosis]:
    for table, partition, count in rows(client, "doctor_parts"):
        if count > _MOST_PARTS:
            todo = "merges can't keep up: raise SENDLENS_STORE_SECONDS, give ClickHouse more CPU or a faster disk"
            yield Diagnosis("merges", "warn", f"{table} has {count} parts in {partition}", todo)
    for table, command, why in rows(client, "doctor_mutations"):
        said = f"{table}: {command}: {why or 'for more than an hour'}"[:300]
        yield Diagnosis("changes", "warn", said, "see system.mutations; KILL MUTATION ends one that can't succeed")
    for table, readonly, delay in rows(client, "doctor_replicas"):
        said = f"{table} {'is read-only here' if readonly else f'is {delay} s behind'}"
        yield Diagnosis(
            "replicas", "fail" if readonly else "warn", said, "see that Keeper answers, and system.replicas"
        )


def rights(given: Examination) -> Iterator[Diagnosis]:
    """What the two users may do: ours all, `reader` look and nothing else."""
    settings = given.settings
    yield from _writer(settings)
    yield from _reader(settings)


def _writer(settings: Settings) -> Iterator[Diagnosis]:
    database, user = settings.clickhouse_database, settings.clickhouse_user
    lacking = []
    with closing(connect(settings)) as client:
        for right in _RIGHTS:
            try:
                may = client.query(f"CHECK GRANT {right} ON {database}.*").result_rows[0][0]
            except ClickHouseError:
                may = 0
            if not int(may):
                lacking.append(right)
    if lacking:
        todo = f"GRANT ALL ON {database}.* TO {user}"
        yield Diagnosis("rights", "fail", f"{user} lacks {', '.join(lacking)} on {database}", todo)
    else:
        yield Diagnosis("rights", "ok", f"{user} may do what we need in {database}")


def _reader(settings: Settings) -> Iterator[Diagnosis]:
    what = "the board in Grafana and `sendlens sql` ask as it"
    try:
        address = ConsoleAddress.of(settings)
        b"".join(ask(address, "SELECT count() FROM events WHERE 0", "TSV", {}))
    except (Misconfigured, Reject) as error:
        todo = f"make the user and GRANT SELECT, SHOW ON {settings.clickhouse_database}.* TO reader; {what}"
        yield Diagnosis("rights", "warn", f"reader can't look: {str(error)[:200]}", todo)
        return
    try:
        b"".join(ask(address, "INSERT INTO events SELECT * FROM events WHERE 0", "TSV", {}))
    except Reject:
        yield Diagnosis("rights", "ok", "reader may look, and change nothing")
    else:
        yield Diagnosis("rights", "fail", "reader may write", "take INSERT from it, and set readonly in its profile")


def tables(given: Examination) -> Iterator[Diagnosis]:
    """What grows without end, and how long the disk has room for it."""
    with closing(connect(given.settings)) as client:
        found = rows(client, "doctor_tables")
        disks = rows(client, "doctor_disks")
    free = min((int(free) for _, free, _ in disks), default=0)
    for name, left, whole in disks:
        if left < _LEAST_FREE * whole:
            said = f"ClickHouse's disk {name} has {size(left)} of {size(whole)} free"
            yield Diagnosis(
                "tables", "fail" if left < _LEAST_FREE * whole / 5 else "warn", said, "make room, or it stops"
            )
    yield growth([row for row in found if row[0] and not row[2]], free)
    for _, name, _, size_now, _ in (row for row in found if not row[0] and not row[2] and row[3] > _LARGE_LOG):
        todo = f"give <{name}> a <ttl> in the server's configuration, or TRUNCATE it"
        yield Diagnosis("tables", "warn", f"the server's own system.{name} has {size(size_now)} and no end", todo)


def growth(endless: list[Row], free: int) -> Diagnosis:
    """Of tables by months, last month's bytes are the growth; the others are taken to grow in the same proportion."""
    total = sum(row[3] for row in endless)
    known, month = sum(row[3] for row in endless if row[4]), sum(row[4] for row in endless)
    growth = month * total / known if known else 0.0
    largest = ", ".join(f"{row[1]} {size(row[3])}" for row in endless[:4])
    said = f"{len(endless)} tables keep rows for ever, {size(total)}" + (f" ({largest})" if largest else "")
    if not growth:
        return Diagnosis("tables", "ok", f"{said}; {size(free)} free")
    months = free / growth
    said = f"{said}; about {size(growth)} more a month, {size(free)} free: full in {months:,.0f} months"
    if months < _FULL_MONTHS:
        return Diagnosis("tables", "warn", said, "give ClickHouse a larger disk, or its tables a TTL")
    return Diagnosis("tables", "ok", said)


def size(count: float) -> str:
    """Bytes for eyes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
