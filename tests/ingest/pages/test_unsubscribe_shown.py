"""The requests of docs/unsubscribing.md, run as they stand there: what each prints, and what it makes known."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
from msgspec.structs import replace

from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Lead, LeftList, Snoozed, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import Purpose
from schemas.topics import EVENTS, LEADS
from tests.docs.shown import Command, commands
from tests.ingest.room import CLAIM, records
from tests.ingest.served_process import served
from tests.support.processes import ROOT

SHOWN = commands((ROOT / "docs" / "unsubscribing.md").read_text())
HERE, LINK = "http://127.0.0.1:8080", "/u/AQN8SSki..."


def test_every_request_of_the_page_does_what_it_says(
    settings: Settings, own_database: Settings, tmp_path: Path
) -> None:
    asked = settings.model_copy(update={"clickhouse_url": own_database.clickhouse_url})
    token = asked.keyring.sign(Purpose.UNSUBSCRIBE, replace(CLAIM, lead="lead-4711", lists=("Seeds", "Opening hours")))
    *posts, look = SHOWN
    with served(asked) as (url, _):

        def run(command: Command) -> str:
            line = command.text.replace(HERE, url).replace(LINK, f"/u/{token}")
            done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        assert [run(post) for post in posts] == [post.output for post in posts]
        decode = msgspec.json.Decoder(AnyEvent).decode
        events = [decode(line) for record in records(asked, EVENTS) for line in record.value.splitlines()]
        facts = [msgspec.json.decode(record.value, type=Lead) for record in records(asked, LEADS)]
        with connect(asked) as client:
            insert_lines(client, "lead_facts", lines(facts))
        (now,), (shown,) = (json.loads(text)["suppressions"] for text in (run(look), look.output))
    left, paused, gone = events
    assert (type(left), type(paused), type(gone)) == (LeftList, Snoozed, Unsubscribed)
    assert isinstance(left, LeftList)
    assert left.list_name == "Seeds"
    assert isinstance(gone, Unsubscribed)
    assert (gone.via, gone.reason) == ("page", "too-many")
    assert {fact.fact for fact in facts} == {"left", "snoozed", "unsubscribed"}
    assert now | {"since": ""} == shown | {"since": ""}
