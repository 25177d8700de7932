"""`sendlens suppressions` and `sendlens lead export`, on a real broker and a real ClickHouse."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clickhouse.store import connect
from commands.people.erase import erase_person
from commands.people.suppression_file import COLUMNS, import_file
from schemas.events import Lead
from schemas.settings import Settings
from schemas.topics import LEADS
from stream.state import StateTopic, read_to_end
from stream.topic_admin import create_topics
from tests.commands.lives import ADDRESS, IP, LEADS_OF_ADA, NOW, OTHER, TEXT, lived_stream
from tests.commands.test_command import sendlens, settings_of
from tests.support.broker import Broker, drop_topics
from tests.support.stream import Stream
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[Stream]:
    """An installation of two people, whose store goes on."""
    with lived_stream(tmp_path_factory.mktemp("people"), broker) as stream:
        stream.start_worker("--stage", "store")
        yield stream


def run(stream: Stream, *words: str) -> subprocess.CompletedProcess[str]:
    return sendlens(*words, **settings_of(stream))


def facts(settings: Settings) -> dict[str, Lead]:
    view = StateTopic(settings, LEADS, Lead, key=lambda fact: fact.key)
    with read_to_end(view, patience=20):
        return {fact.key: fact for fact in view}


def imported(stream: Stream, folder: Path, text: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    file = folder / "list.csv"
    file.write_bytes(text)
    return run(stream, "suppressions", "import", str(file), *words)


def test_a_list_is_imported_once_and_what_was_refused_is_named_by_its_line(lived: Stream, tmp_path: Path) -> None:
    before = facts(lived.settings)
    text = (
        "\ufeffEmail Address;Reason;Created At;Name\r\n"
        "Grace@Example.net;Hard Bounce;2024-05-06 07:08:09;Grace\r\n"
        "\r\n"
        'linus@example.net;unsubscribed;1714979289;"Linus\r\nof two lines"\r\n'
        "nobody;;;\r\n"
        "moon@example.net;full moon;;\r\n"
        "grace@example.net;bounced;;again\r\n"
        "ken@example.net;;;\r\n"
    ).encode()
    dry = imported(lived, tmp_path, text, "--dry-run", "--source", "old system")
    assert facts(lived.settings) == before
    done = imported(lived, tmp_path, text, "--source", "old system")
    assert done.stdout == "6 lines: 3 added, 1 there already, 2 refused (address-invalid 1, reason-unknown 1)\n"
    assert dry.stdout.replace("would be added", "added") == done.stdout
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["line 6", "address-invalid"],
        ["line 7", "reason-unknown"],
    ]
    assert done.returncode == 1, "a list of which a part was refused"
    new = [fact for key, fact in facts(lived.settings).items() if key not in before]
    assert sorted((fact.fact, fact.source, f"{fact.at:%Y-%m-%d}"[:4]) for fact in new) == [
        ("invalid", "old system", "2024"),
        ("suppressed", "old system", f"{NOW:%Y}"),
        ("unsubscribed", "old system", "2024"),
    ]
    assert "example.net" not in str(new)
    again = imported(lived, tmp_path, text, "--source", "old system")
    assert again.stdout.startswith("6 lines: 0 added, 4 there already, 2 refused")


def test_a_bare_list_has_addresses_and_domains(lived: Stream, tmp_path: Path) -> None:
    before = facts(lived.settings)
    done = imported(lived, tmp_path, b"ada@one.example\n@two.example\nthree.example\n")
    assert (done.returncode, done.stdout) == (0, "3 lines: 3 added, 0 there already, 0 refused\n")
    assert sorted(fact.of for key, fact in facts(lived.settings).items() if key not in before) == [
        "address",
        "domain",
        "domain",
    ]


@pytest.mark.parametrize("text", [b"name,age\nAda,36\n", b"Dear all,\nplease suppress Ada\n"])
def test_a_file_without_anybody_is_refused_as_a_whole(lived: Stream, tmp_path: Path, text: bytes) -> None:
    done = imported(lived, tmp_path, text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no header that names a column of address (address), domain (domain), lead (lead)" in done.stderr


def test_what_is_exported_is_the_list_and_is_there_already(lived: Stream, tmp_path: Path) -> None:
    held = [fact for fact in facts(lived.settings).values() if fact.holds and fact.fact != "replied"]
    file = tmp_path / "out.csv"

    def stored() -> bool:
        with lived.client() as client:
            return bool(client.query("SELECT count() FROM lead_facts FINAL").result_rows[0][0] == len(held))

    wait_until(stored, 20, "the facts in ClickHouse")
    done = run(lived, "suppressions", "export", str(file))
    assert (done.returncode, done.stdout) == (0, f"{len(held)} suppressions in {file}\n"), done.stderr
    head, *rows = file.read_text().splitlines()
    assert head == ",".join(COLUMNS)
    assert sorted(row.split(",")[1] for row in rows) == sorted(fact.lead for fact in held)
    back = run(lived, "suppressions", "import", str(file))
    assert back.stdout == f"{len(held)} lines: 0 added, {len(held)} there already, 0 refused\n"


def test_an_import_says_how_far_it_is_by_the_lines_that_it_has_read(lived: Stream, tmp_path: Path) -> None:
    """Also where not one of them is new: the file is known already, or is refused."""
    file, said = tmp_path / "list.csv", list[str]()
    file.write_text("address\n" + "nobody\n" * 50_000 + "grace@example.org\n" * 50_001)
    import_file(lived.settings, file, NOW, dry_run=True, progress=said.append)
    refused = "50000 refused (address-invalid 50000)"
    assert said == [
        f"50000 lines: 0 would be added, 0 there already, {refused}",
        f"100000 lines: 1 would be added, 49999 there already, {refused}",
    ]


def test_everything_that_is_known_of_a_person_is_exported(lived: Stream) -> None:
    """All that an erasure would take, and nothing of anybody else."""
    done = run(lived, "lead", "export", ADDRESS.upper())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["address"], found["leads"]) == (ADDRESS, sorted(LEADS_OF_ADA))
    assert (len(found["events"]), len(found["hits"]), len(found["attempts"])) == (30, 3, 3)
    assert [send["send"]["text"] for send in found["waiting"]] == [TEXT]
    assert found["hits"][0]["ip"] == IP
    assert OTHER not in done.stdout
    assert "Bob" not in done.stdout
    with connect(lived.settings, form_encode_query_params=True) as client:
        taken = erase_person(lived.settings, client, ADDRESS, [], NOW, dry_run=True)
    erased = {row.table: row.rows for row in taken.rows}
    parts = {
        "events": "events", "hits": "hits", "attempts": "attempts",
        "retries": "waiting", "calls": "calls", "links": "links", "lead_facts": "facts",
    }  # fmt: skip
    assert {table: len(found[part]) for table, part in parts.items()} == {table: erased[table] for table in parts}


@pytest.fixture
def another(lived: Stream) -> Iterator[Stream]:
    """A second installation with the same token keys, on the same broker."""
    settings = lived.settings.model_copy(update={"topic_prefix": f"t{uuid.uuid4().hex[:8]}-"})
    create_topics(settings)
    yield replace(lived, settings=settings)
    drop_topics(settings)


def test_who_was_erased_here_is_not_mailed_where_the_export_is_imported(
    lived: Stream, another: Stream, tmp_path: Path
) -> None:
    with connect(lived.settings, form_encode_query_params=True) as client:
        erase_person(lived.settings, client, OTHER, [], NOW)
    erased = [fact for fact in facts(lived.settings).values() if fact.fact == "erased"]
    assert sorted(fact.of for fact in erased) == ["address", "hashed-lead"]
    file = tmp_path / "out.csv"
    done = run(lived, "suppressions", "export", str(file))
    assert done.returncode == 0, done.stderr
    count = len(file.read_text().splitlines()) - 1
    back = run(another, "suppressions", "import", str(file))
    assert (back.returncode, back.stdout) == (0, f"{count} lines: {count} added, 0 there already, 0 refused\n")
    there = facts(another.settings)
    assert [replace_source(there[fact.key]) for fact in erased] == erased


def replace_source(fact: Lead) -> Lead:
    """The fact as it was written first: without where it was imported from."""
    assert fact.source == "import"
    return msgspec.structs.replace(fact, source="")


def test_a_person_of_whom_nothing_is_known_has_an_empty_export(lived: Stream) -> None:
    found = json.loads(run(lived, "lead", "export", "nobody@example.org").stdout)
    assert [part for part, rows in found.items() if isinstance(rows, list) and rows] == []
    assert run(lived, "lead", "export", "nobody").returncode == 2
