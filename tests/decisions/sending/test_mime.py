"""The bytes that go over the wire, read back by Python's own parser, and checked as bytes where parsers are kind."""

from __future__ import annotations

import email
import email.policy
import quopri
import re
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decisions.sending.mime import LineCoder, body, header, quoted_printable
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.tokens import MAX_TEXT_BYTES, Purpose
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PUBLIC, a_send, instrumented, parsed

LONGEST = "l" * MAX_TEXT_BYTES


def test_the_headers_say_who_to_whom_what_and_when() -> None:
    message = parsed(
        instrumented(a_send(sender="Grace Hopper <grace@example.com>", to="Ada <ada@example.net>")).message
    )
    assert (message["From"], message["To"]) == ("Grace Hopper <grace@example.com>", "Ada <ada@example.net>")
    assert message["Subject"] == "A question"
    assert message["Date"].datetime == NOW
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not message.defects


def test_the_message_id_and_the_return_path_prove_the_delivery() -> None:
    send = a_send()
    mail = instrumented(send)
    assert parsed(mail.message)["Message-ID"] == f"<{mail.message_id}>"
    token, _, domain = mail.message_id.partition("@")
    assert str(KEYRING.verify(Purpose.MESSAGE, token).delivery_id) == send.delivery_id
    local, _, envelope_domain = mail.envelope_from.partition("@")
    assert len(local) <= 64
    assert str(KEYRING.verify_bounce(local.removeprefix("bounce+")).delivery_id) == send.delivery_id
    assert domain == envelope_domain == ENVELOPE


def test_one_click_unsubscribe_has_both_ways_and_whole_addresses_on_the_wire() -> None:
    message = instrumented(a_send(lead=LONGEST, campaign=LONGEST, variant=LONGEST)).message
    found = re.search(
        rb"\r\nList-Unsubscribe: <" + PUBLIC.encode() + rb"/u/([\w-]+)>,\r\n"
        rb" <mailto:unsubscribe@bounces.example.com\?subject=([\w-]+)>\r\n",
        message,
    )
    assert found is not None
    assert found[1] == found[2]
    assert KEYRING.verify(Purpose.UNSUBSCRIBE, found[1].decode()).lead == LONGEST
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in message


def test_with_the_longest_ids_no_line_is_too_long_and_the_message_id_is_in_one_piece() -> None:
    html = '<a href="https://example.com/">x</a>' * 50
    mail = instrumented(a_send(lead=LONGEST, campaign=LONGEST, variant=LONGEST, html=html, text="x" * 5000))
    assert max(map(len, mail.message.split(b"\r\n"))) <= 998
    assert f"\r\nMessage-ID: <{mail.message_id}>\r\n".encode() in mail.message
    assert b"\n" not in mail.message.replace(b"\r\n", b"")
    assert b"\r" not in mail.message.replace(b"\r\n", b"")
    assert mail.message.isascii()


@pytest.mark.parametrize(
    ("sender", "name", "address"),
    [
        ("grace@example.com", "", "grace@example.com"),
        ("Grace, Inc. <grace@Example.COM>", "Grace, Inc.", "grace@example.com"),
        ('"Grace \\"the\\" Hopper" <grace@example.com>', 'Grace "the" Hopper', "grace@example.com"),
        ("Grâce Höpper <grace@example.com>", "Grâce Höpper", "grace@example.com"),
        (f"{'日本語の名前' * 6} <grace@example.com>", "日本語の名前" * 6, "grace@example.com"),
        ("=?utf-8?q?Gr=C3=A2ce?= <grace@example.com>", "Grâce", "grace@example.com"),
        ("grace@bücher.example", "", "grace@xn--bcher-kva.example"),
        ("a.b+c_d=e@example.com", "", "a.b+c_d=e@example.com"),
    ],
)
def test_a_sender_is_read_and_written_as_mail_knows_it(sender: str, name: str, address: str) -> None:
    mail = instrumented(a_send(sender=sender))
    raw = re.search(rb"\r\nFrom: ((?:[^\r]|\r\n )*)", b"\r\n" + mail.message)
    assert raw is not None
    assert max(map(len, raw[1].split(b"\r\n"))) <= 78
    # The older parser: the newer one of Python 3.11 puts a space between encoded words (RFC 2047, 6.2 forbids it).
    assert parseaddr(str(make_header(decode_header(raw[1].decode().replace("\r\n", ""))))) == (name, address)
    assert mail.sender == address


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("jörg@example.com", "address-invalid"),
        ("not an address", "address-invalid"),
        ("a@b@example.com", "address-invalid"),
        ("@example.com", "address-invalid"),
        ("ada@", "address-invalid"),
        ("ada@-example.com", "address-invalid"),
        ("ada@exa mple.com", "address-invalid"),
        ("a@example.com, b@example.com", "address-invalid"),
        ("<a@example.com> <b@example.com>", "address-invalid"),
        ("l" * 65 + "@example.com", "address-invalid"),
        ("ada@example.com\r\nBcc: eve@example.com", "control-character"),
        ("Ada\n <ada@example.com>", "control-character"),
    ],
)
def test_an_address_that_smtp_cannot_carry_is_rejected_with_its_reason(address: str, reason: str) -> None:
    with pytest.raises(Reject) as rejected:
        instrumented(a_send(to=address))
    assert rejected.value.reason == reason


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-A": "a\r\nBcc: eve@example.com"}, "control-character"),
        ({"X-A": "a\nb"}, "control-character"),
        ({"X-A\r\nBcc": "eve@example.com"}, "control-character"),
        ({"X A": "b"}, "header-invalid"),
        ({"": "b"}, "header-invalid"),
        ({"Bcc": "eve@example.com"}, "header-forbidden"),
        ({"list-unsubscribe": "<https://example.com>"}, "header-forbidden"),
        ({"CONTENT-TYPE": "text/plain"}, "header-forbidden"),
        ({"X-A": "a" * 1000}, "too-large"),
    ],
)
def test_a_header_that_would_break_the_mail_is_rejected(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(Reject) as rejected:
        instrumented(a_send(headers=headers))
    assert rejected.value.reason == reason


def test_a_subject_with_a_line_break_is_rejected() -> None:
    with pytest.raises(Reject, match="control-character"):
        instrumented(a_send(subject="Hi\r\nBcc: eve@example.com"))


def test_the_platforms_own_headers_are_carried() -> None:
    message = parsed(instrumented(a_send(headers={"Reply-To": "Ada <ada@example.com>", "X-Note": "grün"})).message)
    assert message["Reply-To"] == "Ada <ada@example.com>"
    assert message["X-Note"] == "grün"


def test_nothing_marks_the_mail_as_bulk_or_automatic() -> None:
    message = parsed(instrumented(a_send()).message)
    assert message["Precedence"] is None
    assert message["Auto-Submitted"] is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=300))
@example("word " * 60)
@example(" spaces  kept ")
@example("a" * 400)
@example("=?utf-8?b?")
def test_any_subject_survives_folding_and_encoding(subject: str) -> None:
    raw = header("Subject", subject)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert all(line.strip() for line in raw.removesuffix(b"\r\n").split(b"\r\n"))  # RFC 5322: no blank continuation
    read = email.message_from_bytes(raw + b"\r\n", policy=email.policy.default)["Subject"]
    assert read == subject or (subject.isascii() and "=?" in subject)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a\rb")
@example("x" * 3000)
@example("dots\n.\n..\nFrom me\n  trailing \t\n")
@example("\r\nmixed\nends\r\n")
def test_any_text_survives_its_part(text: str) -> None:
    raw = body("plain", text)
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert b"\r" not in raw.replace(b"\r\n", b"")
    read = email.message_from_bytes(raw, policy=email.policy.default).get_payload(decode=True)
    assert isinstance(read, bytes)
    made = read.decode().replace("\r\n", "\n")
    assert made.removesuffix("\n") == text.replace("\r\n", "\n").removesuffix("\n")


def test_text_that_is_no_unicode_is_rejected() -> None:
    with pytest.raises(Reject, match="not-unicode"):
        body("html", "\ud800")
    with pytest.raises(Reject, match="control-character"):
        header("Subject", "\ud800")


def test_a_name_alone_is_no_mailbox() -> None:
    with pytest.raises(Reject, match="address-invalid"):
        mailbox("Ada")


@pytest.mark.parametrize(
    ("value", "addresses", "names"),
    [
        ("Jürgen Müller <j@example.com>", ["j@example.com"], ["Jürgen Müller"]),
        ('"Müller, Jürgen" <j@example.com>, a@example.com', ["j@example.com", "a@example.com"], ["Müller, Jürgen", ""]),
        ("Müller, Jürgen <j@example.com>", ["j@example.com"], ["Müller, Jürgen"]),
        ("山田太郎 <t@example.jp>, Ćwik <c@example.pl>", ["t@example.jp", "c@example.pl"], ["山田太郎", "Ćwik"]),
        ('"Ann @ Acme" <ann@example.com>,b@example.com', ["ann@example.com", "b@example.com"], ["Ann @ Acme", ""]),
        ("info@müller.example", ["info@xn--mller-kva.example"], [""]),
        ("=?utf-8?q?J=C3=BCrgen?= <j@example.com>", ["j@example.com"], ["Jürgen"]),
        ("ä" * 20 + " <j@example.com>", ["j@example.com"], ["ä" * 20]),
    ],
)
def test_an_address_header_arrives_as_addresses(value: str, addresses: list[str], names: list[str]) -> None:
    found = parsed(instrumented(a_send(headers={"Reply-To": value})).message)["Reply-To"].addresses
    assert [one.addr_spec for one in found] == addresses
    assert [one.display_name for one in found] == names


@pytest.mark.parametrize("value", ["Jürgen", "a@example.com, b", "undisclosed-recipients:;", ""])
def test_an_address_header_without_addresses_is_refused_with_the_reason(value: str) -> None:
    with pytest.raises(Reject, match="Reply-To: "):
        instrumented(a_send(headers={"Reply-To": value}))


@pytest.mark.parametrize(
    "text",
    [
        ".", "..", "a\n.b\n..\n", "From me\nFrom you", "x" * 75 + ".y", "x" * 74 + ".y" * 60, "." * 500,
        "From " * 100, "ü" * 12 + "xyz." + "ü" * 30, "x" * 75 + "From here", " " * 76 + ".", ".=" * 200,
    ],
)  # fmt: skip
def test_no_line_begins_with_what_servers_on_the_way_change(text: str) -> None:
    _no_line_is_fragile(text)


@given(st.text("x.=\n üFrom", max_size=400))
def test_whatever_the_text_no_line_does(text: str) -> None:
    _no_line_is_fragile(text)


def _no_line_is_fragile(text: str) -> None:
    coded = quoted_printable(text.encode())
    lines = coded.split(b"\r\n")
    assert not [line for line in lines if line.startswith((b".", b"From "))]
    assert max(map(len, lines)) <= 76
    assert quopri.decodestring(coded.replace(b"\r\n", b"\n")).decode() == text


LINES = st.lists(
    st.sampled_from(["", ".", "From x", "Hi Ann", "Hi Bob", "a=b" * 40, "Grüße" * 20, "end \t"]), max_size=6
)


@given(st.lists(LINES, min_size=1, max_size=5))
def test_what_was_coded_before_changes_no_coded_text(texts: list[list[str]]) -> None:
    coder = LineCoder()
    for lines in texts:
        raw = "\n".join(lines).encode()
        assert coder(raw) == quoted_printable(raw)


def test_of_a_huge_text_nothing_is_kept() -> None:
    coder = LineCoder()
    for raw in (b"x" * 2_000_000, b"\n" * 30_000):
        assert coder(raw) == quoted_printable(raw)
        assert coder._last == ([], [])
