"""`sendlens report`, with a real mail server and a real database: each recipient gets a report once."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from clickhouse.store import connect
from commands.reports.report_sending import due
from schemas.settings import Settings, load
from tests.agents.transport.smtp_server import Server
from tests.dashboards.data import insert_known_week
from tests.support.migrated import migrated_database
from tests.support.processes import ROOT
from tests.support.waiting import until

WEEK = ("--weekly", "--on", "2026-03-04")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with migrated_database(tmp_path_factory.mktemp("reports")) as settings:
        with connect(settings) as client:
            insert_known_week(client)
        yield settings


def environment(database: Settings, folder: Path, server: Server) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SENDLENS_")} | {
        "SENDLENS_CLICKHOUSE_URL": database.clickhouse_url,
        "SENDLENS_CLICKHOUSE_DATABASE": database.clickhouse_database,
        "SENDLENS_TOKEN_KEYS": database.token_keys,
        "SENDLENS_DATA_DIR": str(folder),
        "SENDLENS_SENDERS": str(folder / "senders.toml"),
        "SENDLENS_SMTP_PORT": str(server.port),
    }


async def run(database: Settings, folder: Path, server: Server, *arguments: str) -> tuple[int, str]:
    """The exit code and all that was printed."""
    given = environment(database, folder, server)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sendlens", "report", *arguments,
        cwd=ROOT, env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, printed.decode()


def parsed(content: bytes) -> EmailMessage:
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def test_two_processes_at_once_send_it_once_to_each(database: Settings, tmp_path: Path) -> None:
    async with Server() as server:
        to = ("--to", "ops@example.com", "--to", "Boss <boss@example.com>")
        printed = await asyncio.gather(*(run(database, tmp_path, server, *WEEK, *to) for _ in range(2)))
        assert [code for code, _ in printed] == [0, 0], printed
        assert sorted(server.recipients()) == ["boss@example.com", "ops@example.com"]
        assert any("sent to nobody, for all have it" in text for _, text in printed)
        mail = parsed(server.mails[0].content)
        assert mail["To"] == server.mails[0].envelope_to
        body = mail.get_body(("plain",))
        assert body is not None
        assert "Open rate: 50.0%; Raw 78.3%; 23 of 46 delivered with a pixel; +25.0 pp" in str(body.get_content())
        await run(database, tmp_path, server, *WEEK, *to, "--again")
        assert len(server.mails) == 4
    with connect(database) as client:
        assert client.query("SELECT count() FROM reports FINAL WHERE period = 'weekly'").result_rows == [(2,)]


async def test_one_who_is_refused_gets_it_at_the_next_attempt_and_the_others_nothing_more(
    database: Settings, tmp_path: Path
) -> None:
    async with Server() as server:
        server.at_rcpt["first@example.com"].append("451 later")
        to = ("--to", "first@example.com", "--to", "second@example.com")
        code, printed = await run(database, tmp_path, server, *WEEK, *to)
        assert (code, "does not take the email: later" in printed) == (1, True), printed
        assert server.recipients() == ["second@example.com"]
        code, printed = await run(database, tmp_path, server, *WEEK, *to)
        assert code == 0, printed
        assert server.recipients() == ["second@example.com", "first@example.com"]


async def test_it_can_be_looked_at_and_what_cannot_be_sent_says_what_to_do(database: Settings, tmp_path: Path) -> None:
    async with Server() as server:
        file = tmp_path / "report.eml"
        code, printed = await run(database, tmp_path, server, "--daily", "--on", "2026-03-02", "--print", str(file))
        assert (code, printed) == (0, f"Monday, 2 March 2026: written to {file}\n")
        assert parsed(file.read_bytes())["Subject"] == "Monday, 2 March 2026: 40 sent, reply rate 11.1%"
        for arguments, said in (
            (WEEK, "set SENDLENS_REPORT_TO, or name them by --to"),
            ((*WEEK, "--to", "not an address"), "SENDLENS_REPORT_TO or --to:"),
            (("--weekly", "--daily"), "not both"),
            (("--daily", "--on", "2099-01-01", "--to", "a@example.com"), "this day is not over"),
            (("--stay",), "SENDLENS_REPORT_TO is empty"),
            ((*WEEK, "--print", str(tmp_path / "no" / "file")), "can't be written"),
        ):
            code, printed = await run(database, tmp_path, server, *arguments)
            assert code == 2, printed
            assert said in printed
        assert server.mails == []


def test_a_report_is_due_at_its_hour_and_no_news_a_day_later() -> None:
    settings = load(report_timezone="Europe/Paris", report_hour=7, token_keys="1:0123456789abcdef0123456789abcdef")
    monday = datetime(2026, 3, 30, 5, 0, tzinfo=UTC)  # 7:00 in Paris, on the first day after summer time began
    assert due(settings, monday - timedelta(seconds=1)) is None
    week = due(settings, monday)
    assert week is not None
    assert week.title == "23 to 29 March 2026"
    assert due(settings, monday + timedelta(hours=23)) == week
    assert due(settings, monday + timedelta(days=1)) is None
    daily = settings.model_copy(update={"report_period": "daily"})
    assert due(daily, monday + timedelta(days=1)) is not None


async def test_one_that_stays_sends_what_is_due_and_ends_when_it_is_told(database: Settings, tmp_path: Path) -> None:
    async with Server() as server:
        given = environment(database, tmp_path, server) | {
            "SENDLENS_REPORT_TO": "stay@example.com",
            "SENDLENS_REPORT_PERIOD": "daily",
            "SENDLENS_REPORT_HOUR": "0",  # due at any time of the day
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sendlens", "report", "--stay", cwd=ROOT, env=given, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await until(lambda: server.mails)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert server.recipients() == ["stay@example.com"]
