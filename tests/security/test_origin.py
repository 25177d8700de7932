"""Whom a mail is from, as far as it can be believed, read from headers of any shape, and in time that follows their size."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.mail.origin import dmarc_failed, from_address
from decisions.mail.parts import parse

pieces = st.lists(
    st.sampled_from(
        [
            '"',
            "\\",
            "<",
            ">",
            "(",
            ")",
            "@",
            ",",
            ";",
            ":",
            " ",
            "ada@a.example",
            "eve@e.example",
            "=?utf-8?q?x?=",
            "ö",
            "\x00",
        ]
    ),
    max_size=12,
).map("".join)


def sender(value: str) -> str:
    return from_address(parse(f"From: {value}\n\nx".encode()))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("ada@a.example", "ada@a.example"),
        ("<ada@A.example>", "ada@a.example"),
        ("ada@a.example (Ada)", "ada@a.example"),
        ("Ada <ada@a.example> (on the road)", "ada@a.example"),
        ("Ada (work (really)) <ada@a.example>", "ada@a.example"),
        ('"eve@e.example" <ada@a.example>', "ada@a.example"),
        ("eve@e.example <ada@a.example>", "ada@a.example"),
        ("Doe, Jane <ada@a.example>", "ada@a.example"),
        ("=?utf-8?q?=3Ceve=40e.example=3E?= <ada@a.example>", "ada@a.example"),
        ("Grüße <ada@a.example>", "ada@a.example"),
        ("Ada <\n ada@a.example>", "ada@a.example"),
        ("", ""),
        ("undisclosed:;", ""),
        ("<>", ""),
        ("Ada", ""),
        ("=?utf-8?q?ada=40a.example?=", ""),
        ("ada@a.example, eve@e.example", ""),
        ("<ada@a.example>, <eve@e.example>", ""),
        ("<ada@a.example", ""),
        ("ada@a.example>", ""),
        ('"ada@a.example', ""),
        ("(ada@a.example", ""),
        ("<<ada@a.example>>", ""),
        ("<@relay.example:ada@a.example>", ""),
        ("<ada@ａ.example>", ""),  # IDNA would make it a.example, but the mail was checked under another name
        ("<adä@a.example>", ""),
    ],
)
def test_the_one_address_in_from_or_none(value: str, address: str) -> None:
    assert sender(value) == address


@given(pieces)
def test_whatever_stands_before_the_last_angle_address_never_names_another(before: str) -> None:
    assert sender(f"{before}<mallory@evil.example>") in ("mallory@evil.example", "")


@given(pieces, pieces)
def test_whatever_is_written_an_address_is_named_only_if_it_stands_there(before: str, after: str) -> None:
    found = sender(before + after)
    assert found in ("", "ada@a.example", "eve@e.example") or found in before + after


@pytest.mark.parametrize(
    "shape", ['"', '\\"', "(", "()", "<", "<>", '"<', "\\", "a@b.c ", "=?utf-8?q?a?= ", "; ", ";dmarc=", ";\t"]
)
def test_reading_takes_time_in_proportion_to_the_header(shape: str) -> None:
    def seconds(size: int) -> float:
        value = shape * (size // len(shape))
        mail = parse(b"x: y\n\n")
        mail.headers = [("from", value), ("authentication-results", value)]
        began = time.process_time()
        for _ in range(5):
            from_address(mail)
            dmarc_failed(mail)
        return time.process_time() - began

    small = min(seconds(15_000) for _ in range(3))
    large = min(seconds(60_000) for _ in range(3))
    assert large < max(8 * small, 0.02), f"{small:.4f} s and {large:.4f} s for four times the size"


@given(st.binary(max_size=200))
def test_any_bytes_are_read(raw: bytes) -> None:
    for head in (b"From: ", b"Authentication-Results: ", b""):
        mail = parse(head + raw)
        from_address(mail)
        dmarc_failed(mail)
        dmarc_failed(mail, "mx.example.com")
