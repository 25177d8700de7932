"""Signs emails for their account by DKIM (RFC 6376, Ed25519 by RFC 8463), so that Gmail and Yahoo take them in bulk."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from schemas.errors import Misconfigured
from schemas.senders import Account

Sign = Callable[[bytes], bytes]

# Each is signed once more than it stands in the email, so that nobody adds another: mail programs show the first, a
# signature covers the last (RFC 6376, 8.15). RFC 8058, 4: both List-Unsubscribe headers must be covered.
_SIGNED = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id",
)  # fmt: skip
_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=kind)-----")
_ED25519 = bytes.fromhex("302e020100300506032b657004220420")  # PKCS #8 of Ed25519 (RFC 8410, 7), before the 32 octets


def signer(account: Account) -> Sign | None:
    """What puts a DKIM-Signature before a message; None for an account without a key.

    Raises Misconfigured when the key can't be used.
    """
    if account.dkim is None:
        return None
    import dkim  # with the DNS client that it brings, for whom it signs

    selector, domain = account.dkim.selector.encode(), account.dkim.domain.encode()
    algorithm, key = _key(account.dkim.key(), account.dkim.key_file)

    def sign(message: bytes) -> bytes:
        names = [line.partition(b":")[0].lower() for line in message.partition(b"\r\n\r\n")[0].split(b"\r\n")]
        covered = [name.encode() for name in _SIGNED for _ in range(names.count(name.lower().encode()) + 1)]
        signature: bytes = dkim.sign(
            message, selector, domain, key,
            canonicalize=(b"relaxed", b"relaxed"), signature_algorithm=algorithm, include_headers=covered,
        )  # fmt: skip
        return signature + message

    try:
        sign(b"From: " + account.address.encode() + b"\r\n\r\nThis tries the key.\r\n")
    except dkim.DKIMException as error:
        raise Misconfigured(f"dkim.key_file: {account.dkim.key_file} can't sign ({error})") from None
    return sign


def _key(pem: bytes, place: str) -> tuple[bytes, bytes]:
    """Algorithm, and the key as dkimpy wants it."""
    found = _PEM.search(pem.decode("ascii", "replace"))
    try:
        der = base64.b64decode("".join(found["body"].split())) if found else b""
    except binascii.Error:
        der = b""
    if not der:
        raise Misconfigured(f"dkim.key_file: {place} is no private key in PEM, or one with a passphrase")
    if der.startswith(_ED25519):
        return b"ed25519-sha256", base64.b64encode(der[len(_ED25519) : len(_ED25519) + 32])
    return b"rsa-sha256", pem.replace(b"\r\n", b"\n")
