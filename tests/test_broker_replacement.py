"""One machine with the broker in memory, which is replaced again and again under load: nothing is lost, nothing twice."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from commands.broker.broker_memory import resident_bytes
from commands.dead_letters import letters
from schemas.errors import Retry
from schemas.settings import Settings, load
from schemas.topics import HITS
from stream.gate.broker_gate import BrokerGate
from stream.records import OutRecord
from stream.write_all import write_all
from tests.support.imap import PASSWORD, ImapServer
from tests.support.installation import environment, killed, processes_of, running
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.test_one_machine import Load, all_of, stored
from tests.test_up import Inbox, a_send, ask, is_ready, serving
from tests.world import answers
from tests.world.mailserver import Received

_MAILBOX = "news@example.net"
_LIMIT_MB = 24
_BROKERS = 3
_BREATH = 0.02  # seconds between the requests of a client: what is to be worked off first is little
_REPLACED = "the broker was replaced by an empty one"
_LATER = "the broker was not replaced, trying again later"


class GreylistingInbox(Inbox):
    """Takes no email to `later@example.com` at first."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "later@example.com" in envelope.rcpt_tos and not self.refused:
            self.refused += 1
            return "451 4.7.1 greylisted, try again in 60 seconds"
        return await super().handle_DATA(server, session, envelope)


class Persistent(Load):
    """A load that also notes what was not answered with the pixel."""

    def __init__(self, pixel: str) -> None:
        super().__init__(pixel)
        self.failed: list[str] = []

    def _run(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._stopping.wait(_BREATH):
                with self._lock:
                    self._number += 1
                    agent = f"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) {'x' * 400} Firefox/133.0 hit-{self._number}"
                try:
                    status = http.get(self._pixel, headers={"User-Agent": agent}).status_code
                except httpx.TransportError as error:
                    self.failed.append(repr(error))
                    continue
                if status == 200:
                    self.answered.add(agent)
                else:
                    self.failed.append(str(status))


class MemoryWatch:
    """The most memory that each of the stack's brokers takes, in bytes by process id."""

    def __init__(self, data_dir: str) -> None:
        self.most: dict[int, int] = {}
        self._data_dir = data_dir
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            for pid, name in processes_of(self._data_dir):
                if name == "broker" and b"memory://" in command_of(pid):
                    self.most[pid] = max(self.most.get(pid, 0), resident_bytes(pid) or 0)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def inbox() -> GreylistingInbox:
    return GreylistingInbox()


@pytest.fixture
def settings(tmp_path: Path, inbox: GreylistingInbox) -> Iterator[dict[str, str]]:
    values = environment(tmp_path / "data") | {
        "SENDLENS_BROKER_MB": str(_LIMIT_MB),
        "SENDLENS_SETTLE_SECONDS": "1",
        "SENDLENS_SOURCE_HITS_PER_SECOND": "0",  # one address asks for all
    }
    with serving(inbox, int(values["SENDLENS_SMTP_PORT"])):
        yield values


@contextmanager
def mailbox(values: dict[str, str], folder: Path) -> Iterator[ImapServer]:
    """A mailbox of the sender, which `values` then name."""
    with ExitStack() as stack:
        server = ImapServer("pymap", [_MAILBOX])
        stack.callback(server.close)
        server.start()
        senders = folder / "senders.toml"
        senders.write_text(
            f'[[account]]\naddress = "{_MAILBOX}"\n[account.imap]\nhost = "127.0.0.1"\nport = {server.port}\n'
            'tls = "none"\npassword_env = "TEST_IMAP_PASSWORD"\n'
        )
        values |= {
            "SENDLENS_SENDERS": str(senders),
            "SENDLENS_INBOX_POLL_SECONDS": "1",
            "TEST_IMAP_PASSWORD": PASSWORD,
        }
        yield server


def of(values: dict[str, str]) -> Settings:
    """The settings that the processes of these values have."""
    prefix = "SENDLENS_"
    return load(**{name.removeprefix(prefix).lower(): values[name] for name in values if name.startswith(prefix)})


def replaced(stack: Process) -> int:
    return stack.output().count(_REPLACED)


def original(inbox: Inbox, lead: str) -> Message:
    mails = [message_from_bytes(raw, policy=policy.default) for raw in inbox.mails]
    (found,) = [mail for mail in mails if lead in str(mail["To"])]
    return found


def letters_there(settings: dict[str, str]) -> int | None:
    """How many were set aside; None while the broker is being replaced."""
    try:
        return len(letters(of(settings)))
    except Retry:
        return None


def started(http: httpx.Client) -> None:
    wait_until(lambda: is_ready(http), 60, "ingest")


@pytest.mark.timeout(1200)
def test_three_brokers_later_all_that_was_answered_is_there_once(
    settings: dict[str, str], inbox: GreylistingInbox, tmp_path: Path
) -> None:
    url, data = settings["SENDLENS_PUBLIC_URL"], settings["SENDLENS_DATA_DIR"]
    sends = {"sends": [a_send(1, lead) for lead in ("ada", "bob", "later")]}
    with (
        mailbox(settings, tmp_path) as imap,
        running(["up"], settings, tmp_path / "up.log") as stack,
        httpx.Client(base_url=url, timeout=30) as http,
        MemoryWatch(data) as memory,
    ):
        started(http)
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        assert http.post("/v1/sends", json=sends).json()["accepted"] == 3
        wait_until(lambda: len(inbox.mails) == 2 and inbox.refused == 1, 60, "two emails, and one refused")
        ada, bob = original(inbox, "ada"), original(inbox, "bob")
        link = Received(inbox.mails[0]).links[0]
        write_all(of(settings), [OutRecord(HITS, 0, b"", b"no hit\n")])
        wait_until(lambda: letters_there(settings) == 2, 60, "dead letters of judge and store")
        with Persistent(Received(inbox.mails[0]).pixels[0]) as load:
            wait_until(lambda: replaced(stack) >= 1, 240, "another broker")
            imap.deliver(_MAILBOX, answers.reply(ada, "ada@example.com", "Yes please."))
            wait_until(lambda: replaced(stack) >= _BROKERS - 1, 240, "all but one")
            bounced = answers.bounce(bob, str(bob["From"]), "bob@example.com", "5.1.1", "550 5.1.1 no such user here")
            imap.deliver(_MAILBOX, bounced)
            wait_until(lambda: replaced(stack) >= _BROKERS, 240, "all brokers")
            wait_until(lambda: len(inbox.mails) == 3, 90, "the email that waited")
        assert not load.failed, load.failed[:5]
        assert http.get(link).status_code == 302, "a link of the first broker"
        for table in ("hits", "events"):
            wait_until(all_of(load, settings, table), 120, f"every answered hit in {table}", every=0.5)
            assert set(stored(settings, table).values()) == {1}
        once = "SELECT kind, lead, count() FROM events FINAL WHERE kind IN ('reply', 'bounce', 'sent') GROUP BY ALL"
        expected = {("reply", "ada", 1), ("bounce", "bob", 1), *(("sent", lead, 1) for lead in ("ada", "bob", "later"))}
        wait_until(lambda: set(ask(settings, once)) == expected, 60, "what came back, once")
        wait_until(lambda: letters_there(settings) == 2, 120, "what was set aside, on the next broker", every=0.5)
        assert "reading its last days again" not in stack.output(), "no mail is read twice"
        # While a broker is replaced it is 503, as a platform knows it of a Kafka that is away.
        wait_until(lambda: http.post("/v1/sends", json=sends).status_code == 202, 60, "the campaign, which is known")
        skipped = "SELECT count() FROM events FINAL WHERE kind = 'skipped' AND reason = 'duplicate'"
        wait_until(lambda: ask(settings, skipped) == [(3,)], 60, "what was sent before to be skipped")
        assert len(inbox.mails) == 3
        assert len(memory.most) >= _BROKERS + 1
        # One broker would hold what all of them did. Each holds the limit and what comes until it is drained, which takes
        # its time on a busy machine.
        assert max(memory.most.values()) < sum(memory.most.values()) / 2
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(120) == 0, stack.output()


@pytest.mark.timeout(600)
def test_a_machine_that_is_killed_between_two_brokers_has_lost_nothing(
    settings: dict[str, str], inbox: GreylistingInbox, tmp_path: Path
) -> None:
    url, log, kept = settings["SENDLENS_PUBLIC_URL"], tmp_path / "up.log", tmp_path / "data" / "broker-kept"
    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=30) as http:
        started(http)
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        assert http.post("/v1/sends", json={"sends": [a_send(1, "ada")]}).json()["accepted"] == 1
        wait_until(lambda: len(inbox.mails) == 1, 60, "an email")
        write_all(of(settings), [OutRecord(HITS, 0, b"", b"no hit\n")])
        wait_until(lambda: letters_there(settings) == 2, 60, "dead letters of judge and store")
        with Persistent(Received(inbox.mails[0]).pixels[0]) as load:
            wait_until(kept.exists, 240, "the old broker to be drained", every=0.005)
            stack.kill()  # the supervisor alone: ingest is left behind, and answers
            load.wait_for(300)
            killed(stack, settings)
        assert replaced(stack) == 0
        assert len(load.answered) > 500

    calm = settings | {"SENDLENS_BROKER_MB": "0"}
    with running(["up"], calm, log) as stack, httpx.Client(base_url=url, timeout=30) as http:
        started(http)
        for table in ("hits", "events"):
            wait_until(all_of(load, settings, table), 120, f"every answered hit in {table}", every=0.5)
            assert set(stored(settings, table).values()) == {1}
        assert len(letters(of(settings))) == 2
        assert not kept.exists()
        assert len(inbox.mails) == 1


@pytest.mark.timeout(600)
def test_a_broker_that_can_t_be_drained_goes_on(
    settings: dict[str, str], inbox: GreylistingInbox, tmp_path: Path
) -> None:
    url = settings["SENDLENS_PUBLIC_URL"]
    with (
        running(["up"], settings, tmp_path / "up.log") as stack,
        httpx.Client(base_url=url, timeout=30) as http,
        MemoryWatch(settings["SENDLENS_DATA_DIR"]) as memory,
    ):
        started(http)
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        assert http.post("/v1/sends", json={"sends": [a_send(1, "ada")]}).json()["accepted"] == 1
        wait_until(lambda: len(inbox.mails) == 1, 60, "an email")
        gate = BrokerGate(tmp_path / "data")
        assert gate.share(), "somebody writes, and does not end"
        with Persistent(Received(inbox.mails[0]).pixels[0]) as load:
            wait_until(lambda: _LATER in stack.output(), 240, "it to be given up")
            gate.let_go()
            load.wait_for(200)
        assert not load.failed, load.failed[:5]
        assert re.search(f"{_LATER}.*somebody still writes to it", stack.output())
        for table in ("hits", "events"):
            wait_until(all_of(load, settings, table), 120, f"every answered hit in {table}", every=0.5)
            assert set(stored(settings, table).values()) == {1}
        assert http.post("/v1/sends", json={"sends": [a_send(2, "ada")]}).json()["accepted"] == 1, "all is as before"
        wait_until(lambda: len(inbox.mails) == 2, 60, "another email")
        assert (len(memory.most), replaced(stack)) == (1, 0)
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(120) == 0, stack.output()
        assert "drained: every record is acknowledged" in stack.output()
