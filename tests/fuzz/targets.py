"""What is fuzzed: each target takes any bytes and raises when a property of ours does not hold for them.

An error that is ours to raise (Reject, Misconfigured, ServerError) is an answer. Anything else is a crash.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec

from clickhouse.embedded.engine_connection import Access
from clickhouse.embedded.errors import ServerError
from clickhouse.embedded.native.compression import CODINGS, Unpacker, choose, packer
from clickhouse.embedded.request import read_arguments, read_request
from clickhouse.embedded.statement import read_statement
from decisions.mail.read import read_mail
from decisions.sending.instrument import instrument
from decisions.sending.plaintext import plaintext
from decisions.sending.rewrite import PLACEHOLDER_NAME, rewrite, scan
from schemas import senders
from schemas.errors import Misconfigured, Reject
from schemas.events import Send
from schemas.tokens import Claim, Keyring, Purpose

KEYRING = Keyring.parse("1:the-first-key-of-these-tests")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_WRAPPED = "https://t.example.com/c/wrapped"


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def tokens(data: bytes) -> None:
    """A token round-trips for its purpose alone; a text that verifies is the one spelling of what it claims."""
    text = data.decode("latin-1")
    for purpose in (Purpose.OPEN, Purpose.CLICK, Purpose.UNSUBSCRIBE, Purpose.MESSAGE):
        with contextlib.suppress(Reject):
            assert KEYRING.sign(purpose, KEYRING.verify(purpose, text)) == text
    with contextlib.suppress(Reject):
        KEYRING.verify_bounce(text)
    said = text_of(data)
    third = len(said) // 3
    claim = Claim(
        UUID(bytes=data[:16].ljust(16, b"\0")), said[:third], len(data) % 256, "A", said[third:], 1_790_000_000
    )
    with contextlib.suppress(Reject):
        token = KEYRING.sign(Purpose.CLICK, claim)
        assert KEYRING.verify(Purpose.CLICK, token) == claim
        _forged(token, data)
        bounce = KEYRING.verify_bounce(KEYRING.sign_bounce(claim).upper())
        assert (bounce.delivery_id, bounce.minted_at) == (claim.delivery_id, claim.minted_at)


def _forged(token: str, data: bytes) -> None:
    """The token for another purpose, and with one character changed, proves nothing."""
    at = sum(data) % len(token)
    changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
    for purpose, text in ((Purpose.OPEN, token), (Purpose.CLICK, changed), (Purpose.CLICK, token[:-1])):
        try:
            KEYRING.verify(purpose, text)
        except Reject:
            continue
        raise AssertionError(f"a forged token verifies: {text}")


def mail(data: bytes) -> None:
    """Any mail has a verdict, and the verdict can be written down."""
    verdict = read_mail(data, KEYRING)
    assert verdict.kind
    assert verdict.match is None  # nothing proves anything here: no token was given out
    msgspec.json.encode(verdict.text)


def html(data: bytes) -> None:
    """Nothing of an email's HTML is lost: with no link wrapped it is what it was, and wrapping changes addresses alone."""
    source = text_of(data)
    found = scan(source)
    if PLACEHOLDER_NAME not in source:
        assert rewrite(source, found, lambda url: None, _WRAPPED, "") == source
        with_tail = rewrite(source, found, lambda url: None, _WRAPPED, "<tail>")
        assert with_tail == f"{source[: found.tail]}<tail>{source[found.tail :]}"
        wrapped = rewrite(source, found, lambda url: _WRAPPED, _WRAPPED, "")
        kept, at = [], 0
        for href in sorted(found.hrefs, key=lambda href: href.start):
            assert at <= href.start <= href.end
            kept.append(source[at : href.start])
            at = href.end
        assert wrapped == _WRAPPED.join([*kept, source[at:]])
    assert scan(source, found).tail == found.tail  # read beside itself it is the same
    assert plaintext(scan(source, found)) == plaintext(found)
    for text in ("", source[::-1]):
        with contextlib.suppress(Reject):
            _sent(Send(**_SEND, html=source, text=text))


_SEND: dict[str, Any] = {
    "delivery_id": "7c492922-8fda-5771-8a65-06c331499564",
    "request_id": "7c492922-8fda-5771-8a65-06c331499564",
    "campaign": "spring",
    "step": 1,
    "variant": "A",
    "lead": "lead-1",
    "to": "ada@example.com",
    "sender": "news@example.net",
    "subject": "Seeds are in",
    "requested_at": NOW,
}


def _sent(send: Send) -> None:
    """The email that goes out is read back by a MIME reader of another make: its parts are there, and one From."""
    made = instrument(send, KEYRING, public_url="https://t.example.com", envelope_domain="b.example.com", now=NOW)
    read = email.message_from_bytes(made.message, policy=email.policy.compat32)
    assert [read.get_all(name) for name in ("From", "To")] == [["news@example.net"], ["ada@example.com"]]
    kinds = [part.get_content_type() for part in read.walk() if not part.is_multipart()]
    assert kinds == (["text/plain", "text/html"] if send.html else ["text/plain"])
    assert max(map(len, made.message.split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1


def http(data: bytes) -> None:
    """The first line is a query string, the second headers, the rest a body: all that is read before the engine is."""
    query_string, _, rest = data.partition(b"\n")
    head, _, body = rest.partition(b"\n")
    headers = dict(_headers(head.decode("latin-1")))
    with contextlib.suppress(ServerError):
        arguments = read_arguments(query_string)
        for access in (Access.FULL, Access.GUEST):
            with contextlib.suppress(ServerError):
                user: Any = SimpleNamespace(name="somebody", access=access)
                request = read_request("POST", headers, arguments, user, "id")
                assert access is Access.FULL or request.access is not Access.FULL
    statement = read_statement(body)
    assert statement.data_at is None or 0 <= statement.data_at <= len(body)
    coding = choose(headers.get("accept-encoding", ""))
    assert coding is None or coding in CODINGS
    for name in CODINGS:
        with contextlib.suppress(ServerError):
            unpacked = Unpacker(name)
            size = sum(map(len, unpacked.unpack(body)))
            unpacked.finish()
            assert size <= 1032 * len(body) + 1024 or name != "gzip"  # deflate's most (RFC 1951)
        pack, unpack = packer(name), Unpacker(name)
        packed = pack.pack(body) + pack.finish()
        assert b"".join(unpack.unpack(packed)) == body
        unpack.finish()


def _headers(head: str) -> Iterator[tuple[str, str]]:
    for part in head.split("\t"):
        name, _, value = part.partition(":")
        yield name.lower(), value


def accounts(data: bytes) -> None:
    """A senders.toml is accounts, or the place of what is wrong with it."""
    try:
        found = senders.parse(text_of(data), Path("senders.toml"), "bounces.example.com")
    except Misconfigured as wrong:
        if not str(wrong).startswith("senders.toml: "):
            raise
        return
    for account in found:
        assert account.address.count("@") == 1
        assert account.address.isprintable()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tokens": tokens,
    "mail": mail,
    "html": html,
    "http": http,
    "accounts": accounts,
}
