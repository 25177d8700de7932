"""Mail that is broken, hostile or huge: always a verdict, and soon."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisions.mail.charsets import decode, decode_words
from decisions.mail.parts import MAX_DEPTH, MAX_PARTS, parse
from decisions.mail.read import read_mail
from tests.corpus.mails import OWN

# Generous on purpose: a busy machine passes it, and what is quadratic on a megabyte does not.
SECONDS = 10.0
MEGABYTE = 1 << 20

_SAMPLES = [path.read_bytes() for path in sorted(OWN.glob("*.eml"))]
_HEADERS = b"From: MAILER-DAEMON@example.com\nTo: s@example.org\nSubject: failure notice\nReturn-Path: <>\n"


@given(st.binary(max_size=4000))
def test_any_bytes_are_read(raw: bytes) -> None:
    read_mail(raw)


@settings(max_examples=200)
@given(
    st.sampled_from(_SAMPLES), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12)), max_size=6), st.floats(0, 1)
)
def test_a_torn_and_scribbled_mail_is_read(raw: bytes, scribbles: list[tuple[float, bytes]], end: float) -> None:
    broken = bytearray(raw[: int(len(raw) * end)])
    for where, what in scribbles:
        at = int(len(broken) * where)
        broken[at : at + len(what)] = what
    read_mail(bytes(broken))


@given(
    st.text(max_size=300),
    st.sampled_from(["utf-8", "utf-16", "iso-2022-jp", "idna", "punycode", "zip", "x", "big5", ""]),
)
def test_any_charset_decodes_to_something(text: str, charset: str) -> None:
    decode(text.encode("utf-8", "surrogatepass"), charset)
    decode_words(f"=?{charset}?B?{text}?= =?{charset}?q?{text}?=")


def _multipart(depth: int) -> bytes:
    raw = b"Content-Type: multipart/mixed; boundary=b0\n\n"
    for level in range(depth):
        raw += b"--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n" % (level, level + 1)
    return raw + b"--b%d\n\nx" % depth


HOSTILE: dict[str, Callable[[], bytes]] = {
    "deep-multiparts": lambda: _multipart(20_000),
    "deep-messages": lambda: b"Content-Type: message/rfc822\n\n" * 30_000,
    "many-parts": lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 150_000,
    "same-boundary-again": lambda: (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n") * 25_000,
    "many-headers": lambda: b"".join(b"X-%d: y\n" % number for number in range(100_000)) + b"\nbody",
    "one-header-folded": lambda: b"Subject: x\n" + b" =?utf-8?q?a?=\n" * 70_000 + b"\nbody",
    "encoded-words": lambda: b"Subject: " + b"=?utf-8?b?" * 100_000 + b"\n\nbody",
    "parameters": lambda: b"Content-Type: text/plain" + b'; a="b' * 150_000 + b"\n\nbody",
    "one-line": lambda: _HEADERS + b"\n" + b"a" * MEGABYTE,
    "dots": lambda: _HEADERS + b"\n" + b"a." * (MEGABYTE // 2),
    "at-signs": lambda: _HEADERS + b"\n" + b"a@" * (MEGABYTE // 2),
    "addresses": lambda: _HEADERS + b"\nfailed: " + b"".join(b"<a%d@example.com>\n" % n for n in range(50_000)),
    "addresses-on-one-line": lambda: _HEADERS + b"\nfailed " + b"a.b@example.com " * 65_000,
    "angle-brackets": lambda: _HEADERS + b"\n" + b"<" * MEGABYTE,
    "quotes": lambda: _HEADERS + b"\n" + b"> " * (MEGABYTE // 2),
    "quote-lines": lambda: b"Subject: Re: x\nFrom: a@example.com\n\n" + b"On 1 wrote\n" * 95_000,
    "colon-lines": lambda: b"Subject: Re: x\nFrom: a@example.com\n\n" + b"From: 1 <a@b.c> wrote:\n" * 45_000,
    "dashes": lambda: _HEADERS + b"\n" + b"-" * MEGABYTE,
    "blank-lines": lambda: _HEADERS + b"\n" + b"\n" * MEGABYTE,
    "spaces": lambda: _HEADERS + b"\n" + b" " * MEGABYTE + b"x",
    "html-open-tags": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<a " * (MEGABYTE // 3),
    "html-open-quotes": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<a \"<b '" * (MEGABYTE // 8),
    "html-comments": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<!--" * (MEGABYTE // 4),
    "html-declarations": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<!" * (MEGABYTE // 2),
    "html-blockquotes": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<blockquote>x" * (MEGABYTE // 13),
    "html-scripts": lambda: _HEADERS + b"Content-Type: text/html\n\n" + b"<script><style>" * (MEGABYTE // 15),
    "base64": lambda: _HEADERS + b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(b"\0" * MEGABYTE),
    "base64-message": lambda: (
        _HEADERS
        + b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode(_multipart(9_000))
    ),
    "delivery-status": lambda: (
        _HEADERS
        + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
        + b"Content-Type: message/delivery-status\n\n"
        + b"Final-Recipient: rfc822; a@example.com\nAction: failed\n\n" * 18_000
    ),
    "transcript": lambda: _HEADERS + b"\n>>> DATA\n" + b"<<< 550 no\n" * 95_000,
    "json": lambda: _HEADERS + b'\n{"notificationType":' + b"[" * MEGABYTE,
    "json-bounce": lambda: _HEADERS + b'\n{"notificationType":"Bounce","bounce":' + b'{"a":' * 200_000,
    "returned-marks": lambda: _HEADERS + b"\n" + b"original message text\n" * 47_000,
    "nulls": lambda: b"\0" * MEGABYTE,
    "carriage-returns": lambda: b"\r" * MEGABYTE,
    "japanese-escapes": lambda: _HEADERS + b"\n" + b"\x1b$B" * (MEGABYTE // 3),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_is_read_soon(name: str) -> None:
    raw = HOSTILE[name]()
    began = time.perf_counter()
    read_mail(raw)
    assert time.perf_counter() - began < SECONDS


def test_parts_and_depth_are_bounded() -> None:
    assert sum(1 for _ in parse(HOSTILE["many-parts"]()).walk(into_messages=True)) <= MAX_PARTS + 2

    def depth(raw: bytes) -> int:
        part, levels = parse(raw), 0
        while part.parts:
            part, levels = part.parts[0], levels + 1
        return levels

    assert depth(_multipart(100)) <= MAX_DEPTH
    assert depth(b"Content-Type: message/rfc822\n\n" * 100) <= MAX_DEPTH


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_make_no_difference(end: bytes) -> None:
    raw = (OWN / "postfix.eml").read_bytes()
    assert read_mail(raw.replace(b"\n", end)) == read_mail(raw)


def test_a_line_of_an_mbox_before_the_headers_is_passed_over() -> None:
    raw = (OWN / "qmail.eml").read_bytes()
    assert read_mail(b"From MAILER-DAEMON Mon Nov  2 10:00:05 2026\n" + raw) == read_mail(raw)


def test_a_bounce_whose_boundary_is_wrong_is_still_read() -> None:
    raw = (OWN / "postfix.eml").read_bytes().replace(b'boundary="B1"', b'boundary="B2"')
    assert [one.address for one in read_mail(raw).recipients] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("宛先不明".encode("iso-2022-jp"), "us-ascii", "宛先不明"),
        ("宛先不明".encode("shift_jis"), "Shift_JIS", "宛先不明"),
        ("收件人".encode("gb18030"), "gb2312", "收件人"),
        ("é“x”".encode("cp1252"), "iso-8859-1", "é“x”"),
        ("é".encode("cp1252"), "", "é"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "idna", "é"),
    ],
)
def test_a_charset_is_what_the_bytes_show(raw: bytes, charset: str, text: str) -> None:
    assert decode(raw, charset) == text
