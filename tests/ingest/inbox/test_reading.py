"""Every mail of a mailbox comes to the topic once, and the mailbox does not notice."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.topics import MAX_MAIL_BYTES
from tests.ingest.inbox.conftest import settings_on
from tests.ingest.inbox.house import ANNA, House, a_mail, accounts, as_kept, subjects
from tests.support.broker import Broker
from tests.support.imap import PASSWORD, ImapServer, missing

pytestmark = pytest.mark.timeout(120)


def test_a_mail_arrives_whole_with_what_identifies_it(house: House) -> None:
    house.run()
    uid = house.server.deliver(ANNA, a_mail("hello"))
    (mail,) = house.mails(1)
    assert (mail.mailbox, mail.folder, mail.uid) == (ANNA, "INBOX", uid)
    assert mail.raw == as_kept(house.server, a_mail("hello"))
    assert mail.size == len(mail.raw)
    assert not mail.truncated
    assert mail.digest == hashlib.sha256(mail.raw).hexdigest()
    assert abs((mail.received_at - datetime.now(UTC)).total_seconds()) < 60


def test_a_server_that_can_tells_of_a_new_mail_by_itself(house: House) -> None:
    """With a poll in five minutes only IDLE can bring it."""
    house.poll_seconds = 300
    house.run(accounts(house.server, more='folders = ["INBOX"]'))
    assert "idle=True" in house.output()
    for number in range(3):
        house.server.deliver(ANNA, a_mail(f"mail-{number}"))
        house.mails(number + 1)
    assert subjects(house.mails()) == ["mail-0", "mail-1", "mail-2"]


def test_junk_is_read_too(house: House) -> None:
    house.run()
    house.server.deliver(ANNA, a_mail("bounce"), "Junk")
    (mail,) = house.mails(1)
    assert mail.folder == "Junk"


def test_a_missing_folder_is_reported_and_the_others_are_read(house: House) -> None:
    house.run(accounts(house.server, more='folders = ["INBOX", "Nowhere"]'))
    house.server.deliver(ANNA, a_mail("hello"))
    assert len(house.mails(1)) == 1
    assert house.output().count("a folder can't be opened") == 1
    assert "folder=Nowhere" in house.output()


def test_nothing_in_the_mailbox_changes(house: House) -> None:
    first, second = (house.server.deliver(ANNA, a_mail(f"m{n}")) for n in range(2))
    house.server.mark(ANNA, second, b"\\Seen")
    house.server.mark(ANNA, second, b"\\Flagged")
    before = house.server.flags(ANNA)
    house.run()
    third = house.server.deliver(ANNA, a_mail("m2", 3 * MAX_MAIL_BYTES))
    house.mails(3)
    house.process.stop()  # type: ignore[union-attr]
    after = house.server.flags(ANNA)
    assert before[first] == ()
    assert after == before | {third: ()}


def test_of_a_mail_that_is_too_large_the_first_part_is_read_and_marked(house: House) -> None:
    house.run()
    large = a_mail("large", MAX_MAIL_BYTES + 500_000)
    house.server.deliver(ANNA, large)
    house.server.deliver(ANNA, a_mail("small"))
    mails = {mail.uid: mail for mail in house.mails(2)}
    large = as_kept(house.server, large)
    assert mails[1].truncated
    assert mails[1].raw == large[:MAX_MAIL_BYTES]
    assert mails[1].size == len(large)
    assert not mails[2].truncated


def test_of_a_mailbox_seen_for_the_first_time_the_last_days_are_read(house: House) -> None:
    now = datetime.now(UTC)
    for days in (30, 3, 1):
        house.server.deliver(ANNA, a_mail(f"days-{days:02}"), at=now - timedelta(days=days))
    house.server.deliver(ANNA, a_mail("moved-here-late"), at=now - timedelta(days=9))
    house.run()
    house.server.deliver(ANNA, a_mail("old-date-but-new-here"), at=now - timedelta(days=9))
    assert subjects(house.mails(2)) == ["days-01", "old-date-but-new-here"]


def test_with_no_days_reading_begins_now(house: House) -> None:
    house.days = 0
    house.server.deliver(ANNA, a_mail("before"), at=datetime.now(UTC) - timedelta(hours=1))
    house.run()
    house.server.deliver(ANNA, a_mail("after"))
    assert subjects(house.mails(1)) == ["after"]


def test_what_came_while_the_process_was_down_is_read_and_nothing_twice(house: House) -> None:
    house.run()
    house.server.deliver(ANNA, a_mail("one"))
    house.mails(1)
    assert house.process
    assert house.process.stop() == 0
    house.server.deliver(ANNA, a_mail("two"))
    house.run()
    house.server.deliver(ANNA, a_mail("three"))
    assert subjects(house.mails(3)) == ["one", "three", "two"]


def test_a_server_that_restarts_is_found_again(house: House) -> None:
    house.run()
    house.server.deliver(ANNA, a_mail("one"))
    house.mails(1)
    for number, kill in enumerate((signal.SIGTERM, signal.SIGKILL)):
        house.server.stop(kill)
        house.server.start()
        house.server.deliver(ANNA, a_mail(f"after-{number}"))
        house.mails(2 + number)
    assert subjects(house.mails()) == ["after-0", "after-1", "one"]
    assert "trying again" in house.output()


def test_when_the_server_numbers_its_mails_anew_none_is_missed(house: House) -> None:
    now = datetime.now(UTC)
    house.server.deliver(ANNA, a_mail("long-known"), at=now - timedelta(days=9))
    house.server.deliver(ANNA, a_mail("known"))
    house.run()
    (known,) = house.mails(1)
    house.server.renumber(ANNA)
    house.server.deliver(ANNA, a_mail("new"))
    mails = house.mails(3)
    assert subjects(mails) == ["known", "known", "new"]
    assert len({mail.uidvalidity for mail in mails}) == 2
    assert len({mail.id for mail in mails}) == 3
    assert {mail.digest for mail in mails if mail.raw == known.raw} == {known.digest}
    assert "numbered a folder anew" in house.output()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_over_tls_the_certificate_must_be_one_that_is_trusted(tls: str, embedded: Broker, tmp_path: Path) -> None:
    """On Dovecot; trusted is what SSL_CERT_FILE names instead of the system's authorities."""
    if missing("dovecot") or shutil.which("openssl") is None:
        pytest.skip(missing("dovecot") or "no openssl here, which makes the certificate")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60)
    house = House(ImapServer("dovecot", [ANNA], (certificate, key)), settings_on(embedded.bootstrap), tmp_path)
    port = house.server.tls_port if tls == "tls" else house.server.port
    text = accounts(house.server).replace('"none"', f'"{tls}"').replace(f"port = {house.server.port}", f"port = {port}")
    try:
        house.server.start()
        house.write(text)
        process = house.start()
        house.until(lambda: "certificate" in house.output().lower(), "the certificate to be refused")
        assert "following" not in house.output()
        process.stop()
        house.env["SSL_CERT_FILE"] = str(certificate)
        house.run(text)
        house.server.deliver(ANNA, a_mail("secured"))
        assert subjects(house.mails(1)) == ["secured"]
    finally:
        house.close()


def test_it_stops_within_seconds_while_it_idles(house: House) -> None:
    house.poll_seconds = 300
    process = house.run(accounts(house.server, more='folders = ["INBOX"]'))
    for number in (signal.SIGTERM, signal.SIGINT):
        began = time.monotonic()
        process.popen.send_signal(number)
        assert process.popen.wait(10) == 0
        assert time.monotonic() - began < 5
        process = house.run(accounts(house.server, more='folders = ["INBOX"]'))


def test_nothing_of_a_mail_and_no_password_is_logged(house: House) -> None:
    house.env["SENDLENS_LOG_LEVEL"] = "DEBUG"
    house.run()
    house.server.deliver(ANNA, a_mail("very-private"))
    house.mails(1)
    house.server.restart()
    house.until(lambda: house.output().count("following a mailbox") == 2, "the mailbox to be followed again")
    assert "very-private" not in house.output()
    assert "lead@example.org" not in house.output()
    assert PASSWORD not in house.output()
