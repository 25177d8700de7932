"""How far a folder is read: decided without any server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.inbox.imap import criteria_of
from ingest.inbox.position import (
    BATCH_BYTES,
    RECORD_MAILS,
    SMALL_BYTES,
    FetchedMail,
    FolderState,
    FoundMail,
    again,
    batches,
    here,
    mail_of,
    next_pause,
    passed,
    searches,
    shared,
    wanted,
)
from schemas.events import lines
from schemas.state.positions import Position
from schemas.topics import MAIL, MAX_MAIL_BYTES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FOLDER = FolderState("anna@example.com", "INBOX", uidvalidity=7, uidnext=101, last=100)


def at(days: float, uid: int) -> FetchedMail:
    return FetchedMail(uid, NOW - days * DAY, 1000, b"x" * 1000)


def read_to(uid: int, **more: Any) -> Position:
    """A folder that was followed for a while."""
    first = here(None, FolderState("anna@example.com", "INBOX", 7, 1, 0), NOW - 30 * DAY, NOW)
    return replace(first, uid=uid, newest=NOW - DAY, **more)


def test_at_first_sight_old_mails_are_left_and_all_new_ones_wanted() -> None:
    position = here(None, FOLDER, NOW - 2 * DAY, NOW)
    assert wanted(position, at(1, 50))
    assert not wanted(position, at(3, 51))
    assert wanted(position, at(300, 101)), "it came after we did, whatever its date"


def test_old_mails_are_left_too_when_the_first_sight_was_cut_short() -> None:
    position = passed(here(None, FOLDER, NOW - 2 * DAY, NOW), 50, [at(1, 50)], NOW)
    assert here(position, FOLDER, NOW, NOW) == position
    assert not wanted(position, at(3, 51))
    assert wanted(position, at(1, 52))


def test_what_is_passed_is_not_wanted_again() -> None:
    position = read_to(100)
    assert not wanted(position, at(0, 100))
    assert wanted(position, at(0, 101))
    assert here(position, FOLDER, NOW, NOW) == position


@pytest.mark.parametrize("folder", [FolderState("a", "INBOX", 8, 101, 100), FolderState("a", "INBOX", 7, 90, 89)])
def test_a_folder_numbered_anew_is_read_from_a_day_before_the_newest_mail(folder: FolderState) -> None:
    position = here(read_to(100), folder, NOW - 2 * DAY, NOW)
    assert (position.uidvalidity, position.uid) == (folder.uidvalidity, 0)
    assert wanted(position, at(1.5, 3))
    assert not wanted(position, at(2.5, 4))
    assert wanted(position, at(300, folder.last + 1))


def test_a_folder_numbered_anew_in_the_middle_of_old_mail_loses_none_of_it() -> None:
    half = passed(here(None, FOLDER, NOW - 20 * DAY, NOW), 50, [at(1, 50)], NOW)
    position = here(half, FolderState("a", "INBOX", 8, 101, 100), NOW - 2 * DAY, NOW)
    assert wanted(position, at(19, 60))


def test_when_kafka_has_lost_its_records_the_last_days_are_wanted_again_and_all_that_is_new() -> None:
    position = again(read_to(100), NOW - 2 * DAY, NOW)
    assert wanted(position, at(1, 100))
    assert not wanted(position, at(3, 99))
    assert wanted(position, at(3, 101)), "it came while nobody read"


def test_the_searches_ask_for_days_that_hold_all_that_is_wanted() -> None:
    old, new = searches(here(None, FOLDER, NOW - 2 * DAY, NOW))
    assert criteria_of(old) == ["UID", "1:100", "SINCE", (NOW - 3 * DAY).date()]
    assert (criteria_of(new), old.above, new.above) == (["UID", "101:*"], 0, 100)
    assert [criteria_of(search) for search in searches(read_to(100))] == [["UID", "101:*"]]


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 3 * MAX_MAIL_BYTES)), unique_by=lambda pair: pair[0]))
def test_batches_hold_every_mail_once_in_order_and_never_too_much(pairs: list[tuple[int, int]]) -> None:
    mails = [FoundMail(uid, size) for uid, size in pairs]
    made = list(batches(mails))
    assert [mail for batch in made for mail in batch] == sorted(mails, key=lambda mail: mail.uid)
    for batch in made:
        assert batch
        assert sum(min(mail.size or SMALL_BYTES, MAX_MAIL_BYTES) for mail in batch) <= BATCH_BYTES


@given(st.lists(st.integers(0, MAX_MAIL_BYTES), max_size=30), st.integers(0, 3 * RECORD_MAILS))
def test_records_hold_every_mail_once_in_order_and_fit_the_topic(sizes: list[int], small: int) -> None:
    mails = [
        mail_of(FOLDER, FetchedMail(uid, NOW, 0, b"x" * size)) for uid, size in enumerate([*sizes, *[5] * small], 1)
    ]
    made = list(shared(mails))
    assert [mail.uid for some in made for mail in some] == [mail.uid for mail in mails]
    for some in made:
        record = len(lines(some))
        assert 0 < len(some) <= RECORD_MAILS
        assert record < (MAIL.max_record_bytes or 0)
        assert len(some) == 1 or record < 1_000_000, "Kafka's own limit, where the topic was made with that"


def test_a_mails_id_is_that_of_its_place() -> None:
    found = FetchedMail(5, NOW, 3, b"abc")
    mail = mail_of(FOLDER, found)
    assert mail_of(FOLDER, replace_raw(found, b"other")).id == mail.id
    assert mail_of(FolderState("anna@example.com", "Junk", 7, 9, 8), found).id != mail.id
    assert mail_of(FolderState("anna@example.com", "INBOX", 8, 9, 8), found).id != mail.id
    assert mail_of(FOLDER, FetchedMail(6, NOW, 3, b"abc")).id != mail.id


def replace_raw(mail: FetchedMail, raw: bytes) -> FetchedMail:
    return FetchedMail(mail.uid, mail.received_at, len(raw), raw)


@pytest.mark.parametrize("size", [0, 5, MAX_MAIL_BYTES, MAX_MAIL_BYTES + 1])
def test_a_server_that_is_wrong_about_a_size_makes_no_mail_too_large(size: int) -> None:
    mail = mail_of(FOLDER, FetchedMail(5, NOW, size, b"x" * (MAX_MAIL_BYTES + 1)))
    assert len(mail.raw) == MAX_MAIL_BYTES
    assert mail.truncated
    assert mail.size == MAX_MAIL_BYTES + 1


def test_pauses_grow_to_a_limit_and_differ() -> None:
    assert [next_pause(n, 1.0) for n in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
    assert next_pause(3, 0.0) == 2
    assert next_pause(1, 0.0, refused=True) == 15
    assert next_pause(50, 1.0, refused=True) == 900
