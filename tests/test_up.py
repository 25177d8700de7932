"""One email through a whole Sendlens, and what is left of it after a restart of everything."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from clickhouse.store import connect
from schemas.errors import Retry
from schemas.settings import load
from tests.support.installation import environment, running
from tests.support.waiting import wait_until
from tests.world.mailserver import Received

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}


class Inbox:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 OK"


@contextmanager
def serving(inbox: Inbox, port: int) -> Iterator[None]:
    """A mail server there that hands everything to the inbox."""
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield
    finally:
        server.stop()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def settings(tmp_path: Path, inbox: Inbox) -> Iterator[dict[str, str]]:
    values = environment(tmp_path / "data")
    with serving(inbox, int(values["SENDLENS_SMTP_PORT"])):
        yield values


def a_send(step: int, lead: str) -> dict[str, Any]:
    return {
        "campaign": "spring",
        "step": step,
        "variant": "A",
        "lead": lead,
        "to": f"{lead}@example.com",
        "sender": "Garden Shop <news@example.net>",
        "subject": "Seeds are in",
        "html": '<p>Hello, <a href="https://example.net/seeds?a=1&amp;b=2">the seeds are in</a>.</p>',
    }


def kinds(settings: dict[str, str]) -> dict[tuple[str, int, str], int]:
    """How many events there are, by kind, step and lead."""
    options = {"clickhouse_url": settings["SENDLENS_CLICKHOUSE_URL"], "data_dir": settings["SENDLENS_DATA_DIR"]}
    with connect(load(**options)) as client:
        rows = client.query("SELECT kind, step, lead, uniqExact(id) FROM events GROUP BY ALL").result_rows
    return {(kind, step, lead): count for kind, step, lead, count in rows}


@pytest.mark.timeout(240)
def test_an_email_goes_all_the_way_and_a_restart_forgets_nothing(
    settings: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    url = settings["SENDLENS_PUBLIC_URL"]
    log = tmp_path / "up.log"
    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=10) as http:
        wait_until(lambda: is_ready(http), 60, "ingest")
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        body = {"sends": [a_send(1, "ada"), a_send(1, "bob")]}
        assert http.post("/v1/sends", json=body).json()["accepted"] == 2
        assert http.post("/v1/sends", json=body).status_code == 202, "asked twice, sent once"
        wait_until(lambda: len(inbox.mails) == 2, 60, "two emails")
        mails = {str(message_from_bytes(raw, policy=policy.default)["To"]): Received(raw) for raw in inbox.mails}
        ada, bob = mails["ada@example.com"], mails["bob@example.com"]
        wait_until(lambda: kinds(settings).get(("delivered", 1, "ada")) == 1, 30, "the delivery to be stored")
        # A person's: three seconds after the 250, by the test's own clock.
        person_at = message_time(settings, "ada") + 3
        wait_until(lambda: time.time() > person_at, 10, "a person's time")
        assert http.get(ada.pixels[0], headers=FIREFOX).status_code == 200
        assert http.get(ada.links[0], headers=FIREFOX).headers["location"] == "https://example.net/seeds?a=1&b=2"
        assert http.get(bob.unsubscribe).status_code == 200, "looking changes nothing"
        one_click = {"List-Unsubscribe": "One-Click"}
        assert http.post(bob.one_click, data=one_click).status_code == 200
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(90) == 0, stack.output()
        assert "drained" in stack.output()

    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=10) as http:
        wait_until(lambda: is_ready(http), 60, "ingest after the restart")
        assert http.get(ada.links[0], headers=FIREFOX).status_code == 302, "a link of an earlier life"
        body = {"sends": [a_send(1, "ada"), a_send(2, "ada"), a_send(2, "bob")]}
        assert http.post("/v1/sends", json=body).json()["accepted"] == 3, "the campaign is still known"
        wait_until(lambda: ("skipped", 2, "bob") in kinds(settings), 60, "the unsubscribed lead to be skipped")
        wait_until(lambda: ("sent", 2, "ada") in kinds(settings), 30, "the second step")
        assert len(inbox.mails) == 3, "neither the email sent before the restart, nor the unsubscribed lead's"
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(90) == 0, stack.output()

    with running(["clickhouse"], settings, log):
        wait_until(lambda: bool(ask(settings, "SELECT 1")), 30, "ClickHouse alone")
        human = "SELECT step, lead, first_open_at IS NOT NULL, first_click_at IS NOT NULL, unsubscribed_at IS NOT NULL"
        rows = ask(settings, f"{human} FROM v_outcomes WHERE sent_at IS NOT NULL ORDER BY step, lead")
        assert rows == [(1, "ada", True, True, False), (1, "bob", False, False, True), (2, "ada", False, False, False)]
        assert ask(settings, "SELECT reason FROM events FINAL WHERE kind = 'skipped' ORDER BY step, lead") == [
            ("duplicate",),
            ("duplicate",),
            ("duplicate",),
            ("unsubscribed",),
        ]


def is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def ask(settings: dict[str, str], sql: str) -> list[tuple[Any, ...]]:
    options = {"clickhouse_url": settings["SENDLENS_CLICKHOUSE_URL"], "data_dir": settings["SENDLENS_DATA_DIR"]}
    try:
        with connect(load(**options)) as client:
            return [tuple(row) for row in client.query(sql).result_rows]
    except Retry:
        return []


def message_time(settings: dict[str, str], lead: str) -> float:
    """When the email of step 1 was delivered, in epoch seconds."""
    ((at,),) = ask(
        settings, f"SELECT toUnixTimestamp64Milli(min(at)) FROM events WHERE kind = 'delivered' AND lead = '{lead}'"
    )
    return float(at) / 1000


@pytest.mark.timeout(120)
def test_a_process_that_dies_stops_the_rest_and_says_why(settings: dict[str, str], tmp_path: Path) -> None:
    wrong = settings | {"SENDLENS_PARTITIONS": "0"}
    with running(["up"], wrong, tmp_path / "up.log") as stack:
        assert stack.popen.wait(60) == 2
        assert stack.output().splitlines()[-1].startswith("sendlens: SENDLENS_PARTITIONS")
