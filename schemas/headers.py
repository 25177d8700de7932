"""The headers that a platform may add to its email: one rule for what `/v1` takes and for what the sender writes."""

from __future__ import annotations

import re

from schemas.addresses import mailboxes
from schemas.errors import Reject
from schemas.text import first_control

MAX_HEADERS = 30
MAX_HEADER_BYTES = 900  # under the 998 of a line (RFC 5322, 2.1.1) with the longest name before it
MAX_HEADER_NAME_BYTES = 76

_NAME = re.compile(rf"[!-9;-~]{{1,{MAX_HEADER_NAME_BYTES}}}")  # RFC 5322, 3.6.8: printable US-ASCII but colon

# By name, in lower case, and why it is refused.
_OURS = "Sendlens writes it itself"
_RECIPIENTS = "it would send the email, or answers to it, to others"
_TRACE = "mail servers write it about mail that they took"
_RECEIPTS = "it asks a recipient's mail client to report on its reader"
RESERVED: dict[str, str] = {
    "date": _OURS,
    "dkim-signature": _OURS,
    "from": _OURS,
    "list-unsubscribe": _OURS,
    "list-unsubscribe-post": _OURS,
    "message-id": _OURS,
    "mime-version": _OURS,
    "subject": _OURS,
    "to": _OURS,
    "apparently-to": _RECIPIENTS,
    "bcc": _RECIPIENTS,
    "cc": _RECIPIENTS,
    "errors-to": _RECIPIENTS,
    "sender": _RECIPIENTS,
    "authentication-results": _TRACE,
    "domainkey-signature": _TRACE,
    "received": _TRACE,
    "received-spf": _TRACE,
    "return-path": _TRACE,
    "disposition-notification-to": _RECEIPTS,
    "return-receipt-to": _RECEIPTS,
}
# Headers whose value is a list of addresses, in lower case, of those that a platform may add.
OF_ADDRESSES = frozenset({"reply-to", "mail-reply-to", "mail-followup-to"})
RESERVED_BEGINNINGS: dict[str, str] = {
    "arc-": _TRACE,
    "content-": _OURS,
    "resent-": _TRACE,
    "x-sendlens-": _OURS,
}


def check_headers(headers: dict[str, str]) -> None:
    """Raise Reject, header-invalid, header-forbidden, control-character or too-large, unless an email may have them."""
    if len(headers) > MAX_HEADERS:
        raise Reject("header-invalid", f"at most {MAX_HEADERS} headers")
    for name, value in headers.items():
        _check(name, value)


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        control = first_control(name)
        if control:
            raise Reject("control-character", f"a header's name: {control}")
        raise Reject(
            "header-invalid", f"{name[:80]!r}: want 1 to {MAX_HEADER_NAME_BYTES} characters of ASCII, no colon"
        )
    lower = name.lower()
    why = RESERVED.get(lower) or next((why for at, why in RESERVED_BEGINNINGS.items() if lower.startswith(at)), "")
    if why:
        raise Reject("header-forbidden", f"{name}: {why}")
    control = first_control(value)
    if control:
        raise Reject("control-character", f"{name}: {control}")
    if len(value.encode()) > MAX_HEADER_BYTES:
        raise Reject("too-large", f"{name}: at most {MAX_HEADER_BYTES} bytes")
    if lower in OF_ADDRESSES:
        try:
            mailboxes(value)
        except Reject as refused:
            raise Reject("header-invalid", f"{name}: {refused.detail}") from None
