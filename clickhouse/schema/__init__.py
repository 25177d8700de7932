"""The schema, read from the SQL files beside this: what makes each table, once, and what each view is today. Pure text.

A table's statements are a migration: they run once, in the order of the files, and are never edited afterwards. A view
has no state: it stands beside its table as it is today, may be edited, and every `sendlens migrate` brings the database
to it. That holds for materialised views too, which are changed in place: one that is dropped and made again would miss
what is inserted meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent

_MATERIALIZED = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO \w+ AS\s(?P<query>.*)", re.DOTALL)
_VIEW = re.compile(r"CREATE OR REPLACE VIEW (?P<name>\w+)\s")


@dataclass(frozen=True)
class Definition:
    """A view or rows that every release may change: its statement is run again whenever the text is another."""

    name: str
    text: str
    # What brings what is there already to it.
    change: str = ""

    @property
    def sha256(self) -> str:
        return _sha256(self.text)


@dataclass(frozen=True)
class Migration:
    """One file of `clickhouse/schema/`, named NNN_what.sql."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the statements that run once, whatever the comments around them say."""
        return _sha256("\n".join(map(_code, self.tables)))

    @property
    def statements(self) -> list[str]:
        """All statements: each ends with a semicolon at the end of a line."""
        parts = re.split(r";[ \t]*(?:\n|$)", self.text)
        return [part.strip() for part in parts if _code(part)]

    @property
    def tables(self) -> list[str]:
        """The statements that run once."""
        return [one for one in self.statements if not _MATERIALIZED.match(_code(one)) and not _VIEW.match(_code(one))]

    @property
    def materialized(self) -> Iterator[Definition]:
        """The materialised views, which fill tables from others."""
        for one in self.statements:
            if found := _MATERIALIZED.match(_code(one)):
                yield Definition(found["name"], one, f"ALTER TABLE {found['name']} MODIFY QUERY\n{found['query']}")

    @property
    def views(self) -> Iterator[Definition]:
        for one in self.statements:
            if found := _VIEW.match(_code(one)):
                yield Definition(found["name"], one)


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """All files of the schema, in their order."""
    return [Migration(path.stem, path.read_text()) for path in sorted(folder.glob("[0-9]*.sql"))]


def providers(folder: Path = FOLDER) -> Iterator[Definition]:
    """The rows of `providers.tsv`, if the folder has it: stored as of 1970, they overrule no row of the operator's."""
    path = folder / "providers.tsv"
    if path.exists():
        lines = (line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#"))
        rows = ",\n    ".join("(" + ", ".join(map(quoted, line)) + ")" for line in lines)
        yield Definition(
            path.name,
            "INSERT INTO providers (domain, provider, source, stored_at)\n"  # our own file
            "SELECT domain, provider, source, toDateTime64(0, 3, 'UTC')\n"
            f"FROM VALUES(\n    'domain String, provider String, source String',\n    {rows}\n)",
        )


def quoted(text: str) -> str:
    """The text as a literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _code(part: str) -> str:
    """The statement without its comments."""
    return re.sub(r"^\s*--.*$", "", part, flags=re.MULTILINE).strip()
