"""Reads suppressions from a CSV file into the topic `leads`, and writes the list as one.

A file of millions is read a line at a time. What is on the list already is not written again, so an import that was
interrupted is simply run again.
"""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.ask import each
from decisions.effects.suppression_list import Entry, fact_of, reason_called
from schemas.errors import Misconfigured, Reject, Retry
from schemas.events import Lead
from schemas.settings import Settings
from schemas.text import one_line
from schemas.topics import LEADS
from stream.facts import ActiveFacts
from stream.records import OutRecord
from stream.write_all import write_all

COLUMNS = ("of", "id", "reason", "source", "since", "until")
_TOGETHER = 5_000  # records written before Kafka is waited for
_TOLD_EVERY = 50_000  # lines read, whatever became of them: some seconds
_SHOWN = 100  # refused lines that are told one by one
_PATIENCE = 600.0  # seconds to read the topic to its end; some 50,000 records a second
_SAMPLE = 64 * 1024  # characters by which the delimiter is chosen
# What other systems call our columns, without capitals and what is no letter.
_NAMES = {
    "address": ("address", "email", "emailaddress", "mail", "recipient", "subscriberemail"),
    "domain": ("domain",),
    "lead": ("lead", "leadid"),
    "hashed": ("id",),
    "of": ("of",),
    "reason": ("reason", "suppressionreason", "status", "type"),
    "source": ("source", "origin"),
    "since": ("since", "created", "createdat", "date", "timestamp", "lastupdatetime", "unsubtime"),
    "until": ("until",),
}
_MEANS = {name: field for field, names in _NAMES.items() for name in names}


class _Reader(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass
class ImportReport:
    """What became of a file's lines. `refused` are the first of those that were not taken, in words."""

    lines: int = 0
    added: int = 0
    already: int = 0
    refused: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    dry_run: bool = False

    @property
    def refusals(self) -> int:
        return self.reasons.total()

    def refuse(self, line: int, error: Reject) -> None:
        self.reasons[error.reason] += 1
        if len(self.refused) < _SHOWN:
            self.refused.append(f"line {line}: {error.reason}: {one_line(error.detail)[:200]}")

    def summary(self) -> str:
        """One line of it."""
        would = "would be added" if self.dry_run else "added"
        why = ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common())
        refused = f"{self.refusals} refused" + (f" ({why})" if why else "")
        return f"{self.lines} lines: {self.added} {would}, {self.already} there already, {refused}"


def import_file(
    settings: Settings,
    file: Path,
    now: datetime,
    *,
    reason: str = "suppressed",
    source: str = "import",
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Suppress everybody in the file. Raises Misconfigured for a file that can't be read as a whole, Retry without a
    broker: what was written by then stays, and is there already the next time."""
    try:
        otherwise = Entry(reason=reason_called(reason), source=source)
        fact_of(msgspec.structs.replace(otherwise, lead="anybody"), settings.keyring, now)
    except Reject as error:
        raise Misconfigured(error.detail) from None
    done = ImportReport(dry_run=dry_run)
    facts = ActiveFacts(settings)
    try:
        if not asyncio.run(facts.wait_until_current(time.time(), _PATIENCE)):
            raise Retry(f"Kafka: topic {settings.topic(LEADS)} can't be read to its end")
        some: list[Lead] = []
        for line, columns in _lines(file):
            done.lines += 1
            try:
                fact = fact_of(_entry(columns, otherwise), settings.keyring, now)
            except Reject as error:
                done.refuse(line, error)
            else:
                if (held := facts.get(fact.key)) and held.until == fact.until:
                    done.already += 1
                else:
                    facts.put(fact)
                    done.added += 1
                    some.append(fact)
            is_to_tell = done.lines % _TOLD_EVERY == 0
            if len(some) == _TOGETHER or is_to_tell:
                _write(settings, some, dry_run)
                some = []
            if is_to_tell:
                progress(done.summary())
        _write(settings, some, dry_run)
    finally:
        facts.stop()
    return done


def export_file(client: Client, file: Path | None) -> int:
    """Write the list, and return how many rows. A file is there only when it is whole."""
    with _written(file) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        count = 0
        for of, id, reason, source, since, until in each(client, "every_suppression"):
            moments = ("" if at is None else at.isoformat(timespec="milliseconds") for at in (since, until))
            writer.writerow((of, id, reason, source, *moments))
            count += 1
    return count


def _write(settings: Settings, some: Iterable[Lead], dry_run: bool) -> None:
    if not dry_run:
        write_all(settings, [OutRecord.keyed(settings, LEADS, fact.key, msgspec.json.encode(fact)) for fact in some])


def _entry(columns: Mapping[str, str], otherwise: Entry) -> Entry:
    reason, of = columns.get("reason", ""), columns.get("of", "")
    who = {name: columns[name] for name in ("address", "domain", "lead", "hashed") if columns.get(name)}
    if of == "lead" and "hashed" in who:  # an export's: a lead's id is no hash
        who["lead"] = who.pop("hashed")
    elif not of:
        who.pop("hashed", None)  # another system's own id
    if not who:
        raise Reject("malformed", "no address, no domain and no lead stand here")
    return Entry(
        **who,
        of=of,
        reason=reason_called(reason) if reason else otherwise.reason,
        source=columns.get("source", "") or otherwise.source,
        since=_moment(columns["since"], "since") if columns.get("since") else None,
        until=_moment(columns["until"], "until") if columns.get("until") else None,
    )


def _moment(text: str, column: str) -> datetime:
    """A time as ISO 8601 or in epoch seconds; in UTC unless it says otherwise. Raises Reject."""
    try:
        if text.isascii() and text.isdigit() and len(text) <= 11:
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise Reject(f"{column}-invalid", f"{column}: {text[:40]!r} is no time like 2026-03-02T10:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _lines(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number and the columns of each line, by our names. Without a header a line is an address or a domain."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            sample = text.read(_SAMPLE)
            text.seek(0)
            head = sample.partition("\n")[0]
            delimiter = max(",;\t", key=head.count)
            reader = csv.reader(text, delimiter=delimiter)
            yield from _columns(reader)
    except csv.Error as error:
        raise Misconfigured(f"{file}: line {reader.line_num} is no CSV: {error}") from None
    except OSError as error:
        raise Misconfigured(f"{file} can't be read: {error.strerror}") from None


def _columns(reader: _Reader) -> Iterator[tuple[int, dict[str, str]]]:
    names: list[str] | None = None
    for row in reader:
        number, cells = reader.line_num, [cell.strip() for cell in row]
        if not any(cells):
            continue
        if names is None:
            names = [_MEANS.get("".join(filter(str.isalpha, cell.lower())), "") for cell in cells]
            if {"address", "domain", "lead", "hashed"} & set(names):
                continue
            if not _is_somebody(cells[0]):
                known = ", ".join(f"{name} ({_NAMES[name][0]})" for name in ("address", "domain", "lead"))
                raise Misconfigured(f"line {number} is no header that names a column of {known}, and no address")
            names = ["whom"]
        yield number, _named(names, cells)


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    if names == ["whom"]:
        return {"address" if "@" in cells[0].removeprefix("@") else "domain": cells[0]}
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}


def _is_somebody(text: str) -> bool:
    return "@" in text or ("." in text and " " not in text)


@contextmanager
def _written(file: Path | None) -> Iterator[IO[str]]:
    if file is None:
        yield sys.stdout
        return
    whole = file.with_name(file.name + ".part")
    try:
        whole.touch(mode=0o600)
        with whole.open("w", encoding="utf-8") as out:
            yield out
        whole.replace(file)
    except OSError as error:
        raise Misconfigured(f"{file} can't be written: {error.strerror}") from None
    finally:
        whole.unlink(missing_ok=True)
