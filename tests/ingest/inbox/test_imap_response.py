"""A server's answer to FETCH is read the same, whether it is of the usual form or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.exceptions import ProtocolError
from imapclient.response_parser import parse_fetch_response

from ingest.inbox import imap_response
from ingest.inbox.imap_response import read

AT = datetime(2026, 11, 3, 9, 30, 5, tzinfo=UTC)
USUAL = (b'1 (UID 7 INTERNALDATE " 3-Nov-2026 10:30:05 +0100" BODY[] {5}', b"hello")


@pytest.mark.parametrize(
    "said",
    [
        [USUAL, b")"],
        [(b'1 (UID 7 INTERNALDATE "03-Nov-2026 10:30:05 +0100" BODY[]<0> {5}', b"hello"), b")"],
        [(b'1 (UID 7 INTERNALDATE " 3-Nov-2026 04:00:05 -0530" BODY[] {5}', b"hello"), b")"],
        [(b'1 (INTERNALDATE "03-Nov-2026 09:30:05 +0000" BODY[] {5}', b"hello"), b" UID 7)"],
        [(b"1 (FLAGS (\\Seen) UID 7 BODY[] {5}", b"hello"), b' INTERNALDATE "03-Nov-2026 09:30:05 +0000")'],
        [USUAL, b")", b"2 (FLAGS (\\Seen))", b"1 (FLAGS () UID 7)"],
    ],
    ids=["usual", "part", "west", "uid last", "date last", "flags of others"],
)
def test_a_mail_and_its_date_are_found_whatever_the_order(said: list[Any]) -> None:
    assert read(said) == [(7, AT, b"hello")]


def test_a_backlog_in_the_usual_form_does_not_need_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object, **__: object) -> None:
        raise AssertionError("parsed byte by byte")

    monkeypatch.setattr(imap_response, "parse_fetch_response", parse)
    assert read([USUAL, b")"] * 3) == [(7, AT, b"hello")] * 3


def test_a_mail_without_a_date_and_one_that_is_gone() -> None:
    assert read([(b"1 (UID 7 BODY[] {5}", b"hello"), b")", b"2 (UID 8 BODY[] NIL)"]) == [(7, None, b"hello")]
    assert read([None]) == []


def test_a_date_that_is_none_is_as_if_there_were_none() -> None:
    assert read([(b'1 (UID 7 INTERNALDATE "31-Foo-2026 99:30:05 +0100" BODY[] {5}', b"hello"), b")"]) == [
        (7, None, b"hello")
    ]


@pytest.mark.parametrize("said", [[b"nonsense"], [(b"1 (UID x BODY[] {5}", b"hello"), b")"], [USUAL, b""]])
def test_what_no_server_should_say_is_an_error(said: list[Any]) -> None:
    with pytest.raises(ProtocolError):
        read(said)


@given(st.binary(max_size=40), st.integers(1, 2**32 - 1), st.integers(10**9 - 10**8, 4 * 10**9))
def test_both_ways_agree(text: bytes, uid: int, second: int) -> None:
    date = f"{datetime.fromtimestamp(second, UTC):%d-%b-%Y %H:%M:%S} +0000".encode()
    said = [(b'3 (UID %d INTERNALDATE "%b" BODY[] {%d}' % (uid, date, len(text)), text), b")"]
    ((_, at, raw),) = read(said)
    parsed: Any = parse_fetch_response(said, normalise_times=False)[uid]
    assert (at, raw) == (parsed[b"INTERNALDATE"].astimezone(UTC), parsed[b"BODY[]"])
