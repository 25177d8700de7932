"""One grammar of addresses: what `/v1` takes the sender can send as, and senders.toml means the same account by it."""

from __future__ import annotations

import json
import re
from email.header import decode_header, make_header
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from decisions.sending.instrument import Instrumented
from decisions.sending.mime import spelled
from ingest.api.requests import SendRequest, check_send
from schemas.addresses import mailbox
from schemas.errors import Misconfigured, Reject
from schemas.senders import parse
from tests.agents.mails import a_send, instrumented
from tests.ingest.api.test_sends import a_send as a_body
from tests.ingest.api.test_sends import spring
from tests.ingest.conftest import room, settings, settings_for
from tests.ingest.room import Room

__all__ = ["room", "settings", "settings_for", "spring"]  # fixtures

RIGHT = [
    ('A "x" B <news@example.net>', "A x B", "news@example.net"),
    ('"Sarah @ Acme" <s@a.example>', "Sarah @ Acme", "s@a.example"),
    ('"Doe, Jane <work>" <jane@a.example>', "Doe, Jane <work>", "jane@a.example"),
    ("Doe, Jane <jane@a.example>", "Doe, Jane", "jane@a.example"),
    ("Name <a@b.c>", "Name", "a@b.c"),
    ("Name<a@b.c>", "Name", "a@b.c"),
    ("<a@b.c>", "", "a@b.c"),
    ("  a@b.c  ", "", "a@b.c"),
    ("  Ada  of  Acme  <  a@b.c > ", "Ada of Acme", "a@b.c"),
    ("Grâce Höpper <grace@example.com>", "Grâce Höpper", "grace@example.com"),
    ("株式会社 <info@example.jp>", "株式会社", "info@example.jp"),
    (r'"\"Ada\" \\ Lovelace" <ada@example.com>', r'"Ada" \ Lovelace', "ada@example.com"),
    ("O'Neil (work) <o'neil@example.com>", "O'Neil (work)", "o'neil@example.com"),
    ("news@EXAMPLE.Net", "", "news@example.net"),
]
# Each with a word that its refusal must say.
WRONG = [
    ("", "local@domain"),
    ("ada", "local@domain"),
    ("ada@localhost", "domain"),
    ("ada@example..com", "domain"),
    ("ada@-example.com", "domain"),
    ("ada@[192.0.2.1]", "domain"),
    (".ada@example.com", "before the @"),
    ("ada.@example.com", "before the @"),
    ("ada lovelace@example.com", "before the @"),
    ("jörg@example.com", "SMTPUTF8"),
    ('"ada lovelace"@example.com', "before the @"),
    ("a" * 65 + "@example.com", "64"),
    ("a@" + "b." * 130 + "com", "254"),
    ("n" * 201 + " <a@b.c>", "200"),
    ('"' + '\\"' * 1_000_000 + " <a@b.c>", "1000"),
    ("Sarah @ Acme <s@a.example>", "quotation marks"),
    ("x@y via List <list@z.example>", "quotation marks"),
    ("a@b.c, d@e.f", "before the @"),
    ("A <a@b.c>, D <d@e.f>", "one address"),
    ("<a@b.c> <d@e.f>", "one address"),
    ('"Ada <a@b.c>', "not closed"),
    ('Ada" <a@b.c>', "not closed"),
    ("a@b.c>", "without its <"),
    ("Ada <a@b.c> (home)", "nothing after"),
    ("ada@example.com\r\nBcc: eve@example.com", "U+000D"),
    ("Ada\x1b[31m <ada@example.com>", "U+001B"),
    ("Ada\x9b31m <ada@example.com>", "U+009B"),
]

pieces = st.lists(
    st.sampled_from(
        ['"', "\\", "<", ">", "@", ".", ",", " ", "ada", "b.c", "ö", "=?utf-8?q?x?=", "(", ")", ":", "\t", "\x1b", "-"]
    ),
    max_size=14,
).map("".join)
addresses = pieces | st.builds("{} <{}@{}.example>".format, pieces, pieces, pieces) | st.text(max_size=40)


def taken(**changes: Any) -> bool:
    """Whether the API takes a send with these changes."""
    try:
        check_send(msgspec.convert(a_body(**changes), SendRequest))
    except Reject:
        return False
    return True


def sent(**changes: Any) -> Instrumented:
    """What the sender makes of it."""
    return instrumented(a_send(**changes))


@pytest.mark.parametrize(("text", "name", "address"), RIGHT)
def test_what_people_write_is_taken_by_all(text: str, name: str, address: str) -> None:
    found = mailbox(text)
    assert (found.name, found.address) == (name, address)
    assert taken(sender=text)
    assert taken(to=text)
    mail = sent(sender=text, to=text)
    assert (mail.sender, mail.envelope_to) == (address, address)
    written = re.search(rb"(?:^|\r\n)From: ((?:[^\r]|\r\n )*)", mail.message)
    assert written is not None
    assert parseaddr(str(make_header(decode_header(written[1].decode().replace("\r\n", ""))))) == (name, address)


@pytest.mark.parametrize(("text", "word"), WRONG)
def test_what_is_no_address_is_refused_and_the_refusal_says_why(text: str, word: str) -> None:
    with pytest.raises(Reject) as refused:
        mailbox(text)
    assert refused.value.reason in ("address-invalid", "control-character")
    assert word in refused.value.detail
    for field in ("sender", "to"):
        with pytest.raises(Reject, match=field):
            check_send(msgspec.convert(a_body(**{field: text}), SendRequest))


@effort(max_examples=400)
@example('A "x" B <news@example.net>')
@example('"" <a@b.c>')
@example('"\\" <a@b.c>')
@given(addresses)
def test_what_the_api_takes_the_sender_sends_and_nothing_else(text: str) -> None:
    if taken(sender=text, to=text):
        mail = sent(sender=text, to=text)
        assert mail.sender == mail.envelope_to == mailbox(text).address
    else:
        with pytest.raises(Reject):
            sent(sender=text, to=text)


@effort(max_examples=300)
@given(addresses)
def test_an_address_that_was_read_is_written_so_that_it_is_read_again(text: str) -> None:
    try:
        found = mailbox(text)
    except Reject:
        return
    again = mailbox(spelled(found))
    assert again.address == found.address
    if found.name.isascii():
        assert again.name == found.name


@effort(max_examples=200)
@given(addresses)
def test_senders_toml_takes_an_account_by_the_same_grammar(text: str) -> None:
    quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    document = f'[[account]]\naddress = {quoted}\n[account.smtp]\nhost = "h.example"\n'
    try:
        found = mailbox(text)
    except Reject:
        found = None
    if found is None or found.name:
        with pytest.raises(Misconfigured):
            parse(document, Path("senders.toml"), "")
    else:
        (account,) = parse(document, Path("senders.toml"), "")
        assert account.address == found.address.lower()


async def test_the_api_answers_so(spring: Room) -> None:
    bodies = [a_body(lead=f"right-{n}", sender=text) for n, (text, _, _) in enumerate(RIGHT)]
    answer = await spring.client.post("/v1/sends", json={"sends": bodies})
    assert (answer.status_code, answer.json()["rejected"]) == (202, [])
    bodies = [a_body(lead=f"wrong-{n}", sender=text) for n, (text, _) in enumerate(WRONG)]
    answer = await spring.client.post("/v1/sends", json={"sends": bodies})
    assert answer.status_code == 422
    for one, (_, word) in zip(answer.json()["rejected"], WRONG, strict=True):
        assert word in one["detail"]
