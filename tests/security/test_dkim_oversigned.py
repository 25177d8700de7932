"""A second header put before an email of ours breaks its DKIM signature (RFC 6376, 8.15), whichever header it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.transport.dkim import Sign, signer
from schemas.senders import Account, Dkim
from tests.agents.mails import a_send, instrumented
from tests.agents.sender.test_accounts import dns_of, key_file, verified

# Each with what somebody would write into a second one; those that an email has not are as good to add.
SECOND = {
    "From": "eve@evil.example",
    "To": "eve@evil.example",
    "Cc": "eve@evil.example",
    "Subject": "Your invoice",
    "Date": "Mon, 4 May 2026 09:30:00 +0000",
    "Message-ID": "<other@evil.example>",
    "Reply-To": "eve@evil.example",
    "In-Reply-To": "<other@evil.example>",
    "References": "<other@evil.example>",
    "MIME-Version": "1.0",
    "Content-Type": "text/html",
    "Content-Transfer-Encoding": "7bit",
    "List-Unsubscribe": "<https://evil.example/u>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "List-Id": "<list.evil.example>",
}
PLAIN = a_send()
RICH = a_send(headers={"Reply-To": "grace@example.com", "reply-to": "ada@example.com", "List-Id": "<spring.example>"})


@pytest.fixture(scope="module", params=["rsa", "ed25519"])
def signing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sign, dict[bytes, bytes]]:
    """What signs by a key of that kind, and its record in DNS."""
    path: Path = key_file(tmp_path_factory.mktemp("keys"), request.param)
    account = Account(address="grace@example.com", dkim=Dkim(selector="mail", key_file=str(path), domain="example.com"))
    sign = signer(account)
    assert sign is not None
    return sign, dns_of(path, request.param)


@pytest.mark.parametrize("send", [PLAIN, RICH], ids=["plain", "with custom headers"])
def test_the_untouched_email_verifies_and_none_with_a_header_more_does(
    signing: tuple[Sign, dict[bytes, bytes]], send: object
) -> None:
    sign, dns = signing
    signed = sign(instrumented(send).message)  # type: ignore[arg-type]
    assert verified(signed, dns)
    kept = [name for name, value in SECOND.items() if verified(f"{name}: {value}\r\n".encode() + signed, dns)]
    assert kept == [], "with one of these before it the email still verifies"
    below = [
        name
        for name, value in SECOND.items()
        if verified(signed.replace(b"\r\n\r\n", f"\r\n{name}: {value}\r\n\r\n".encode(), 1), dns)
    ]
    assert below == [], "nor as the last of the headers"


def test_headers_that_mail_servers_add_on_the_way_break_nothing(signing: tuple[Sign, dict[bytes, bytes]]) -> None:
    sign, dns = signing
    added = b"Return-Path: <x@example.com>\r\nReceived: from a by b; Mon, 4 May 2026 09:30:00 +0000\r\nX-Spam: no\r\n"
    assert verified(added + sign(instrumented(PLAIN).message), dns)
