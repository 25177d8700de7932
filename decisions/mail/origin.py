"""Who a mail says that it is from, and whether the mailbox's own server believes it.

An address in From proves little, and what stands around it nothing: a display name, a comment or an encoded word may
hold any other address. So only the one address that mail programs answer to is read. Where the own server wrote that it
failed DMARC (RFC 7489), it is no proof.
"""

from __future__ import annotations

import re

from decisions.mail.parts import MimePart
from schemas.addresses import mailbox
from schemas.errors import Reject

# What says where names and comments begin and end (RFC 5322, 3.2.2 and 3.2.4).
_MARKS = re.compile(r'\\.|["()<>]', re.DOTALL)
# At the beginning of a result, so that nothing inside a comment, a value or a quoted string is taken for one.
_DMARC_FAILED = re.compile(r"(?:^|;)\s*+dmarc\s*+(?:/\s*+[0-9]++\s*+)?=\s*+fail(?![a-z0-9-])", re.IGNORECASE)
_AUTHSERV_ID = re.compile(r"\s*+\"?([^\s;=\"()]++)\"?(?:\s++[0-9]++)?\s*+(?:[;(]|$)")


def from_address(mail: MimePart) -> str:
    """The address that the mail is from, as ours are written; "" when there is none, or more than one."""
    written = mail.all("from")
    if len(written) != 1:
        return ""
    angles, outside = _apart(written[0])
    if angles is None or len(angles) > 1:
        return ""
    # Not decoded: an encoded word is never an address (RFC 2047, 5). Nor is a domain in letters that IDNA would turn
    # into others: mail with such an address is checked under the name that it is sent with.
    address = angles[0] if angles else outside
    try:
        found = mailbox(address) if address.isascii() else None
    except Reject:
        return ""
    return found.address if found and not found.name else ""


def dmarc_failed(mail: MimePart, authserv_id: str = "") -> bool:
    """Whether the server that took the mail in wrote `dmarc=fail`.

    Servers write at the top of what they get, so what its sender wrote stands below. Without `authserv_id` the topmost
    Authentication-Results is the own server's; with it, the topmost of that name (RFC 8601, 5). Further ones of the
    same name count as far as the next Received, below which stands what an earlier server wrote, or the sender.
    """
    own = authserv_id.lower() or None
    seen = False
    for name, value in mail.headers:
        if name == "received" and seen:
            return False
        if name != "authentication-results":
            continue
        by = _written_by(value)
        if own is None:
            own = by
        if by == own:
            seen = True
            if _DMARC_FAILED.search(value):
                return True
    return False


def _written_by(value: str) -> str:
    """The authserv-id in lower case; "" where a server leaves it out, as Exchange Online does."""
    found = _AUTHSERV_ID.match(value)
    return found[1].lower() if found else ""


def _apart(value: str) -> tuple[list[str] | None, str]:
    """What stands in angle brackets, and what stands outside of them, of quoted strings and of comments. None instead
    of the first when one of these has no end: then it is ambiguous."""
    angles: list[str] = []
    outside: list[str] = []
    state, depth, start = "", 0, 0
    for mark in _MARKS.finditer(value):
        at, sign = mark.start(), mark[0]
        if state == '"':
            if sign == '"':
                state, start = "", mark.end()
        elif state == "(":
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if not depth:
                state, start = "", mark.end()
        elif state == "<":
            if sign == ">":
                angles.append(value[start:at])
                state, start = "", mark.end()
            elif sign == "<":
                return None, ""
        elif sign in '"(<':
            outside.append(value[start:at])
            state, depth, start = sign, 1, mark.end()
        elif sign == ">":
            return None, ""
    if state:
        return None, ""
    return angles, " ".join([*outside, value[start:]]).strip()
