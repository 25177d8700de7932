"""What strangers write can't steer a terminal, a log, a spreadsheet or a reader's eye; and no id can."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.header import Header
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sender.unanswered_emails import report_lines
from agents.transport.smtp import _clean
from clickhouse.store import connect, insert_lines
from commands.dead_letters import DeadLetter, shown
from commands.judge_mails import line
from decisions.effects.returns import SentEmail, event_of
from decisions.mail.read import read_mail
from decisions.sending.own_events import OwnEvent, events_of
from schemas.events import Bounced, Campaign, Complained, Replied, lines
from schemas.settings import Settings
from schemas.state.attempts import Wait
from schemas.state.dead_records import Dead
from schemas.text import escaped, first_steering, one_line, some_lines
from schemas.tokens import delivery_id, event_id
from schemas.topics import CAMPAIGNS
from tests.agents.mails import KEYRING
from tests.ingest.api.test_export import rows_of
from tests.ingest.api.test_sends import a_send, spring
from tests.ingest.conftest import room, settings, settings_for
from tests.ingest.room import Room, put, running
from tests.support.processes import ROOT

__all__ = ["room", "settings", "settings_for", "spring"]  # fixtures

# Written as escapes: BEL, ESC, DEL, CSI, overrides, isolates.
STEERING = "\x07\x1b[31m\x7f\x9b31m\u202e\u2066\u2069\u202a\x00"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
EMAIL = SentEmail(str(delivery_id("spring", 1, "ada")), "spring", 1, "A", "ada", "grace@example.com", "")
BIDI = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def harmless(text: str, allowed: str = "") -> bool:
    """Whether no character of the text is a control character, but for these, or changes the order of others."""
    return not any((unicodedata.category(c) == "Cc" and c not in allowed) or c in BIDI for c in text)


@given(st.text() | st.text(st.sampled_from(STEERING + "a\r\n\t ö\u2028\u200f\x85\x0b")))
def test_text_becomes_harmless_and_loses_nothing_that_can_be_read(text: str) -> None:
    assert harmless(one_line(text))
    assert harmless(some_lines(text), "\n\t")
    for cleaned in (one_line(text), some_lines(text)):
        assert [c for c in cleaned if c.isprintable() and c not in "\ufffd "] == [
            c for c in text if c.isprintable() and c not in "\ufffd "
        ]
    assert one_line(one_line(text)) == one_line(text)
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
    assert harmless(escaped(json.dumps(text, ensure_ascii=False)))


def a_bounce() -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.net\r\nTo: grace@example.com\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n\r\nIt failed.\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; ada@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 no such user {STEERING} here\r\n\r\n--b--\r\n"
    ).encode()


def a_reply() -> bytes:
    encoded = Header(f"Re: {STEERING} question", "utf-8").encode()
    head = f"From: ada@example.net\r\nSubject: {encoded}\r\nMessage-ID: <{STEERING}1@example.net>\r\n"
    return (
        f"{head}In-Reply-To: <x@y>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nYes{STEERING}\r\n\tplease\r\n"
    ).encode()


def a_complaint() -> bytes:
    return (
        'From: fbl@example.net\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary="b"'
        "\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: =1+1{STEERING}\r\nOriginal-Rcpt-To: ada@example.net\r\n\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(("raw", "kind"), [(a_bounce(), Bounced), (a_reply(), Replied), (a_complaint(), Complained)])
def test_an_event_of_a_mail_holds_no_such_character(raw: bytes, kind: type) -> None:
    event = event_of(read_mail(raw), EMAIL, "verp", at=AT, digest="d", address_ids=KEYRING.address_ids)
    assert isinstance(event, kind)
    for name, value in msgspec.structs.asdict(event).items():
        if isinstance(value, str):
            assert harmless(value, "\n\t" if name == "text" else ""), name
    if isinstance(event, Bounced):
        assert "no such user" in event.diagnostic
        assert event.diagnostic.endswith("here")
    if isinstance(event, Replied):
        assert event.text.startswith("Yes")
        assert event.text.endswith("\n\tplease")


def test_neither_does_what_a_mail_server_said_nor_what_a_platform_told() -> None:
    assert harmless(_clean(f"550 {STEERING} no"))
    for kind in ("bounce", "deferred", "complaint"):
        own = OwnEvent(
            kind=kind, campaign="spring", step=1, lead="ada", sender="grace@example.com", to="ada@example.net", at=AT,
            diagnostic=STEERING, status="\u202e5.1.1", category="\u202eabuse",
        )  # fmt: skip
        for event in events_of(own, KEYRING)[0]:
            assert all(harmless(value) for value in msgspec.structs.asdict(event).values() if isinstance(value, str))


def test_what_commands_print_is_harmless(tmp_path: Path) -> None:
    value = base64.b64encode(json.dumps({"subject": STEERING}, ensure_ascii=False).encode()).decode()
    raw = base64.b64encode(STEERING.encode()).decode()
    for record in (value, raw):
        letter = Dead(
            stage="reader",
            topic="mail",
            partition=0,
            offset=1,
            reason="x",
            detail=STEERING,
            at=AT,
            key=raw,
            value=record,
        )
        assert harmless(shown(DeadLetter(1, letter)), "\n")
    assert harmless(line(f"mail{STEERING}.eml", read_mail(a_reply())).decode(), "\n")
    wait = Wait(
        delivery_id=EMAIL.delivery_id, request_id=EMAIL.delivery_id, campaign=f"c{STEERING}", step=1, lead=f"l{STEERING}",
        sender="a@b.example", state="unanswered", attempt=1, first_at=AT, due_at=AT, at=AT, message_id=STEERING,
    )  # fmt: skip
    assert all(map(harmless, report_lines([wait])))
    mail = tmp_path / "a\x1b[31mb.eml"
    mail.write_bytes(a_reply())
    files = [str(mail), str(mail) + "\x9bno"]
    environment = {**os.environ, "SENDLENS_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", "judge", "mail", *files],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "please" in done.stdout
    assert "can't be read" in done.stderr
    assert harmless(done.stdout + done.stderr, "\n")


@pytest.mark.parametrize("format", ["console", "json"])
def test_what_is_logged_is_harmless_and_a_line_each(format: str) -> None:
    program = (
        "import logging, structlog\n"
        "from commands.edge import read_settings\n"
        "read_settings()\n"
        f"bad = {STEERING + chr(10) + '[info] forged'!r}\n"
        "log = structlog.get_logger()\n"
        "log.warning('heard ' + bad, why=bad, many=[bad], error=ValueError(bad))\n"
        "logging.getLogger('library').warning('%s', bad.replace(chr(10), ''))\n"
        "try:\n    raise ValueError(bad)\nexcept ValueError:\n    log.exception('broke')\n"
    )
    environment = {**os.environ, "SENDLENS_LOG_FORMAT": format}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("heard") == 1
    assert "library" in done.stdout
    assert harmless(done.stdout, "\n")
    heard = next(line for line in done.stdout.splitlines() if "heard" in line)
    assert "forged" in heard


@pytest.mark.parametrize(
    "character", ["\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u200f", "\u200e", "\u061c", "\u2028", "\n"]
)
async def test_an_id_with_such_a_character_is_refused_and_the_refusal_names_it(spring: Room, character: str) -> None:
    name = f"U+{ord(character):04X}"
    assert first_steering(f"a{character}b").startswith(name)
    answer = await spring.client.post("/v1/campaigns", json={"id": f"a{character}b", "name": "x"})
    assert answer.status_code == 422
    assert name in answer.text
    for field in ("campaign", "lead", "variant"):
        answer = await spring.client.post("/v1/sends", json={"sends": [a_send(**{field: f"a{character}b"})]})
        assert answer.status_code == 422
        (rejected,) = answer.json()["rejected"]
        assert rejected["reason"] == "control-character"
        assert f"{field}: {name}" in rejected["detail"]


async def test_an_id_that_was_stored_before_is_found_and_paused_as_ever(room: Room) -> None:
    id_ = "a\u202eb"
    put(room.settings, CAMPAIGNS, id_, Campaign(id=id_, name="Old", created_at=AT))
    found = await room.client.get(f"/v1/campaigns/{quote(id_)}")
    assert (found.status_code, found.json()["id"]) == (200, id_)
    assert (await room.client.post(f"/v1/campaigns/{quote(id_)}/pause")).status_code == 200


CELLS = {
    " =1+1": "' =1+1",
    "\t =1": "'\t =1",
    "\x00=1": "'\ufffd=1",
    "\u00a0+1": "'\u00a0+1",
    "\ufeff-1": "'\ufeff-1",
    "\u3000＝1": "'\u3000＝1",
    "\x0b@x": "'\ufffd@x",
    "\r\n=1": "'\r\n=1",
    "a\x1b[31mb\x9bc\u202ed\u2066e": "a\ufffd[31mb\ufffdcde",
    " plain": " plain",
    "1 + 1": "1 + 1",
}


@pytest.fixture
async def exporting(settings: Settings, own_database: Settings) -> AsyncIterator[Room]:
    """A room with events whose every text is one of the cells, stored as before such texts were cleaned."""
    where = {"clickhouse_url": own_database.clickhouse_url, "clickhouse_database": own_database.clickhouse_database}
    asked = settings.model_copy(update=where)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with connect(asked) as client:
        for number, cell in enumerate(CELLS):
            delivery = str(delivery_id("cells", 1, str(number)))
            of: dict[str, Any] = {
                "id": str(event_id(delivery, "x")), "at": at, "delivery_id": delivery, "campaign": cell, "step": 1,
                "variant": cell, "lead": cell, "sender": cell, "category": cell, "status": cell, "diagnostic": cell,
                "bounce_class": "hard", "message_id": cell, "via": "report",
            }  # fmt: skip
            insert_lines(client, "events", lines([Bounced(**of)]))
    async with running(asked) as room:
        yield room


async def test_no_cell_of_any_text_column_is_run_by_a_spreadsheet_or_obeyed_by_a_terminal(exporting: Room) -> None:
    rows = await rows_of(exporting, "csv", table="events", since="now-1d")
    plain = await rows_of(exporting, "ndjson", table="events", since="now-1d")
    assert len(rows) == len(plain) == len(CELLS)
    for column in ("campaign", "variant", "lead", "sender", "category", "status", "diagnostic", "message_id"):
        assert {row[column] for row in rows} == set(CELLS.values()), column
        assert {row[column] for row in plain} == set(CELLS), column
