"""What was read stays read, whoever dies; what was not comes later."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest

from ingest.inbox.follower import MailboxFollower
from ingest.inbox.imap import connect
from ingest.inbox.inbox_metrics import InboxMetrics
from ingest.inbox.mail_publisher import InboxStopped, MailPublisher, StopSignal
from ingest.inbox.position import BATCH_BYTES, SMALL_BYTES
from ingest.inbox.positions import PositionFile
from schemas.senders import load
from schemas.settings import Settings
from schemas.state.positions import Position
from schemas.topics import MAIL, POSITIONS
from stream.publisher import Publisher
from stream.state import StateTopic
from tests.ingest.inbox.conftest import settings_on
from tests.ingest.inbox.house import ANNA, House, a_mail, accounts, subjects
from tests.support.broker import Broker, create_topics
from tests.support.imap import PASSWORD, quickest
from tests.support.processes import free_port

pytestmark = pytest.mark.timeout(150)

# pymap takes about a second for a login.
MANY = {"dovecot": 50, "pymap": 6}
# Some batches of small mails.
BACKLOG = 5 * BATCH_BYTES // SMALL_BYTES


@pytest.fixture
def kind() -> str:
    """The other files ask each kind of server."""
    return quickest()


class Dies(MailPublisher):
    """Ends where a kill between Kafka's answer for the mails and the writing of the position would end it."""

    def position(self, position: Position) -> None:
        raise InboxStopped


async def test_killed_between_a_mail_and_its_position_the_same_mail_comes_again_with_the_same_id(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_IMAP_PASSWORD", PASSWORD)
    house.write(accounts(house.server, more='folders = ["INBOX"]'))
    house.server.deliver(ANNA, a_mail("one"))
    senders = load(Settings(_env_file=None, senders=house.folder / "senders.toml"))  # type: ignore[call-arg]
    (account,) = senders.mailboxes
    assert account.imap
    publisher, metrics, stop = Publisher(house.settings, [MAIL, POSITIONS]), InboxMetrics(), StopSignal()
    view = StateTopic(house.settings, POSITIONS, Position, lambda position: position.key)
    publisher.start()
    dies = Dies(publisher, view, PositionFile(house.folder / "elsewhere" / "file"), metrics, stop)
    follower = MailboxFollower(
        account.address, account.imap.folders, partial(connect, account, senders), dies, metrics, stop,
        days=2, poll_seconds=1, clock=lambda: datetime.now(UTC), share=lambda: 0.5,
    )  # fmt: skip
    await asyncio.to_thread(follower.run)
    await publisher.stop(5)
    (before,) = await asyncio.to_thread(house.mails, 1)
    assert house.positions() == []
    await asyncio.to_thread(house.run, accounts(house.server))
    again = await asyncio.to_thread(house.mails, 2)
    assert [mail.id for mail in again] == [before.id] * 2


def test_killed_at_any_moment_of_a_backlog_no_mail_is_missing(house: House) -> None:
    count = BACKLOG
    house.server.stock(ANNA, [a_mail(f"mail-{n:04}") for n in range(count)])
    house.write(accounts(house.server))
    for _ in range(4):
        house.start()
        before = len(house.mails())
        house.until(lambda n=before: len(house.mails()) > n or len(house.mails()) >= count, "some mails")  # type: ignore[misc]
        assert house.process
        house.process.kill()
    house.run()
    house.until(lambda: len({mail.id for mail in house.mails()}) == count, "all mails")
    assert len(set(subjects(house.mails()))) == count
    house.until(lambda: max(p.uid for p in house.positions() if p.folder == "INBOX") == count, "the last position")


def test_stopped_in_the_middle_of_a_backlog_it_reads_no_mail_twice(house: House) -> None:
    house.server.stock(ANNA, [a_mail(f"mail-{n:04}") for n in range(BACKLOG)])
    house.write(accounts(house.server))
    for _ in range(3):
        before = len(house.mails())
        if before == BACKLOG:
            break
        house.start()
        house.until(lambda n=before: len(house.mails()) > n, "some mails")  # type: ignore[misc]
        assert house.process
        assert house.process.stop(8) == 0
    house.run()
    assert subjects(house.mails(BACKLOG)) == [f"mail-{n:04}" for n in range(BACKLOG)]


def test_a_process_that_is_moved_to_another_machine_reads_on(house: House) -> None:
    house.run()
    house.server.deliver(ANNA, a_mail("one"))
    house.mails(1)
    house.until(lambda: bool(house.positions()) and house.positions()[-1].uid == 1, "the position")
    assert house.process
    house.process.stop()
    shutil.rmtree(house.folder / "data")
    house.server.deliver(ANNA, a_mail("two"))
    house.run()
    house.server.deliver(ANNA, a_mail("three"))
    assert subjects(house.mails(3)) == ["one", "three", "two"]


def test_when_kafka_has_lost_everything_the_last_days_are_read_again(house: House) -> None:
    house.run()
    house.server.deliver(ANNA, a_mail("one"))
    (one,) = house.mails(1)
    assert house.process
    house.process.stop()
    house.settings = settings_on(house.settings.kafka)  # a broker that knows nothing
    house.server.deliver(ANNA, a_mail("two"))
    house.run()
    mails = house.mails(2)
    assert subjects(mails) == ["one", "two"]
    assert one.id in {mail.id for mail in mails}
    house.process.stop()
    house.run()
    house.server.deliver(ANNA, a_mail("three"))
    assert subjects(house.mails(3)) == ["one", "three", "two"], "and not once more at every start"


def test_while_kafka_is_away_mails_wait_in_their_mailbox(
    house_of: Callable[..., House], own_broker: Broker, kind: str
) -> None:
    house = house_of(ANNA, bootstrap=own_broker.bootstrap)
    house.run()
    house.server.deliver(ANNA, a_mail("one"))
    house.mails(1)
    own_broker.kill()
    house.server.deliver(ANNA, a_mail("two"))
    house.until(lambda: "wait for Kafka" in house.output(), "the outage to be said")
    own_broker.start()
    if own_broker.surroundings["mode"] == "embedded":
        create_topics(house.settings)  # it has forgotten them
    house.until(lambda: "two" in subjects(house.mails()), "the mail that waited")


def test_fifty_mailboxes_are_followed_by_one_process(kind: str, house_of: Callable[..., House]) -> None:
    many = MANY[kind]
    names = [f"sender{n}@example.com" for n in range(many)]
    house = house_of(*names)
    house.run(accounts(house.server, names))
    for name in names:
        house.server.deliver(name, a_mail(f"to-{name.partition('@')[0]}"))
    mails = house.mails(many)
    assert {mail.mailbox for mail in mails} == set(names)
    assert len(mails) == many
    house.server.restart()
    house.until(lambda: house.output().count("following a mailbox") == 2 * many, "all to be followed again")
    assert house.process
    assert house.process.stop(8) == 0
    assert len(house.mails()) == many


def test_without_mailboxes_it_says_so_and_waits(house: House) -> None:
    house.folder.mkdir(exist_ok=True)
    process = house.start()
    house.until(lambda: "no mailboxes configured" in house.output(), "the reason")
    assert process.popen.poll() is None
    assert process.stop(8) == 0


def test_a_password_that_is_not_set_ends_it_with_the_variables_name(house: House) -> None:
    house.write(accounts(house.server).replace("TEST_IMAP_PASSWORD", "SL_NOT_SET"))
    process = house.start()
    assert process.popen.wait(20) == 2
    assert "SL_NOT_SET is not set" in house.output()


def test_a_second_process_with_the_same_data_refuses(house: House) -> None:
    first = house.run()
    second = house.start()
    assert second.popen.wait(20) == 2
    assert "reads the mailboxes already" in house.output()
    house.process = first


def test_it_counts_what_it_does(house: House) -> None:
    port = free_port()
    house.env["SENDLENS_INBOX_METRICS_PORT"] = str(port)
    house.run(accounts(house.server, more='folders = ["INBOX", "Nowhere"]'))
    house.server.deliver(ANNA, a_mail("one"))
    house.mails(1)

    def metrics() -> str:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text

    house.until(
        lambda: f'sendlens_inbox_mails_total{{mailbox="{ANNA}",result="published"}} 1.0' in metrics(), "a count"
    )
    assert f'sendlens_inbox_connected{{mailbox="{ANNA}"}} 1.0' in metrics()
    assert f'sendlens_inbox_missing_folders{{mailbox="{ANNA}"}} 1.0' in metrics()
    house.server.restart()
    none = f'sendlens_inbox_reconnects_total{{mailbox="{ANNA}"}} 0.0'
    house.until(lambda: "inbox_reconnects_total{" in metrics() and none not in metrics(), "a reconnect")
