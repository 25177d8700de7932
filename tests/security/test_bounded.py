"""What is bounded, and what becomes of the rest: nothing raises, nothing real is lost."""

from __future__ import annotations

import codecs
import html
import sys
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.mail.charsets import codec_of
from decisions.mail.html import html_text
from decisions.mail.read import read_mail
from decisions.sending.plaintext import plaintext
from decisions.sending.rewrite import decode_attribute, scan
from decisions.sending.urls import MAX_URL, target
from ingest.api.requests import batch_decoder, decode_send
from schemas.errors import Reject
from schemas.references import unescape
from tests.agents.mails import a_send, instrumented

_DIGITS = sys.get_int_max_str_digits() + 1


@pytest.mark.parametrize("reference", [f"&#{'1' * _DIGITS};", f"&#{'0' * _DIGITS}65;", f"&#x{'f' * _DIGITS};"])
def test_a_reference_of_any_length_is_read(reference: str) -> None:
    """Python refuses to read a decimal number of over 4,300 digits, which must not cost the mail."""
    instrumented(a_send(html=f"<p>{reference}<a href='http://x.example/{reference}'>x</a>", text=""))
    html_text(reference)
    decode_attribute(reference)
    assert read_mail(f"From: a@b.example\nContent-Type: text/html\n\n{reference} Hello".encode()).kind == "reply"
    assert unescape(reference) == ("A" if reference.endswith("65;") else "\ufffd")


@given(
    st.lists(st.sampled_from(["&", "#", "x", "X", "0", "1", "65", "f", "9999999", "amp", ";", "copy", " ", "é"])).map(
        "".join
    )
)
def test_references_are_decoded_as_python_decodes_them(text: str) -> None:
    assert unescape(text) == html.unescape(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('<p>Hello</p>end <a href="http://x', "Hello\nend"),
        ("1 <b>2</b> <3 and a<b", "1 2 <3 and a<b"),
        ('<p>a</p><p title="b>c</p><br>d', "a\nc\nd"),
        ("a <!-- never closed <p>b</p>", "a"),
    ],
)
def test_text_after_what_is_not_closed_is_kept(source: str, text: str) -> None:
    assert plaintext(scan(source)) == text


def test_charsets_that_python_has_are_known_and_others_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "utf-8",
        "UTF8",
        "iso-8859-15",
        "windows-1251",
        "koi8-r",
        "ansi_x3.4-1968",
        "cp1252",
        "utf_7",
        "hz",
    )
    assert all(map(codec_of, names))
    codec_of.cache_clear()
    asked: list[str] = []
    lookup = codecs.lookup
    monkeypatch.setattr("codecs.lookup", lambda name: (asked.append(name), lookup(name))[1])
    assert [codec_of(f"x-{number}") for number in range(3)] == ["", "", ""]
    assert not asked


@pytest.mark.parametrize(
    "url",
    ["http://a.example/" + "é" * MAX_URL, "http://" + "é" * 600 + ".example/", "http://a.example/" + "a" * MAX_URL],
)
def test_an_address_that_no_server_takes_is_left_alone(url: str) -> None:
    assert target(url) is None


@pytest.mark.parametrize("item", [b"1", b"[]", b'{"a":[{}]}', b'"x"'])
def test_a_batch_is_read_no_further_than_it_may_be_long(item: bytes) -> None:
    read = batch_decoder("sends", 100)
    assert [bytes(raw) for raw in read(b'{"sends":[%b]}' % b",".join([item] * 100))] == [item] * 100
    assert read(b'{"sends":[]}') == []
    with pytest.raises(Reject, match="batch-size"):
        read(b'{"sends":[%b' % b",".join([item] * 101))  # and nothing behind it is looked at


@pytest.mark.parametrize(
    "body",
    [
        lambda: b'{"sends":[' + b"[" * 10_000_000,
        lambda: b'{"sends":[' + b'{"a":' * 4_000_000,
        lambda: b'{"a":' * 4_000_000,
        lambda: b"[" * 20_000_000,
    ],
)
def test_json_of_any_depth_is_malformed_and_no_more(body: Callable[[], bytes]) -> None:
    with pytest.raises(Reject, match="malformed"):
        batch_decoder("sends", 100)(body())


def test_a_million_headers_are_refused_before_they_are_made() -> None:
    headers = b",".join(b'"x-%d":"1"' % number for number in range(100_000))
    with pytest.raises(Reject, match="header-invalid"):
        decode_send(msgspec.Raw(b'{"headers":{%b}}' % headers))
