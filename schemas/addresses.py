"""The one grammar of email addresses: for what `/v1` takes, for what the sender writes, and for senders.toml.

`local@domain` or `Name <local@domain>` (RFC 5322, 3.4), one address and no list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from schemas.errors import Reject
from schemas.text import first_control

MAX_TEXT = 1_000  # characters of all that is written, quotation marks and blanks too
MAX_NAME = 200  # characters of a display name
MAX_LOCAL = 64  # octets (RFC 5321, 4.5.3.1.1)
MAX_ADDRESS = 254  # the path's 256 octets (RFC 5321, 4.5.3.1.3) less its angle brackets

# RFC 5321, 4.1.2: a dot-string, and a domain of at least two labels. Quoted local parts and address literals are legal
# and never a lead's.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"')
_BETWEEN = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.)*+"|")++')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class DisplayAddress:
    """A display name, which may be empty, and an address that SMTP can carry: ASCII, its domain in lower case."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@lru_cache(maxsize=1_000)
def mailbox(text: str) -> DisplayAddress:
    """Read `local@domain` or `Name <local@domain>`, blanks around it or not.

    What stands in quotation marks is text of the name, with whatever characters. A domain that is not ASCII becomes its
    IDNA form (RFC 5891). Raises Reject, control-character or address-invalid, with what is wrong.
    """
    if len(text) > MAX_TEXT:  # first: what comes next may take time by the square of the length
        raise _refused(f"more than {MAX_TEXT} characters")
    control = first_control(text)
    if control:
        raise Reject("control-character", control)
    name, address = _taken_apart(text.strip(" "))
    if len(name) > MAX_NAME:
        raise _refused(f"the name has more than {MAX_NAME} characters")
    return DisplayAddress(name, _checked(address))


def domain_of(text: str) -> str:
    """Read a domain, blanks around it, an @ before it or not: as an address has it. Raises Reject, domain-invalid."""
    domain = text.strip(" ").removeprefix("@")
    written = "" if len(domain) > MAX_ADDRESS else _ascii(domain)
    labels = written.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        raise Reject("domain-invalid", f"{domain[:100]!r} is no domain like mail.example")
    return written


def mailboxes(text: str) -> list[DisplayAddress]:
    """Read addresses with commas between them, one at least, each as `mailbox` reads it. A comma in a name needs no
    quotation marks: what has no address is a part of the next one's name.

    Raises Reject as `mailbox` does.
    """
    if len(text) > MAX_TEXT:  # as in `mailbox`
        raise _refused(f"more than {MAX_TEXT} characters")
    found: list[DisplayAddress] = []
    begun = ""
    for part in _BETWEEN.findall(text):
        begun = f"{begun},{part}" if begun else part
        if "@" in _QUOTED.sub("", begun):
            found.append(mailbox(begun))
            begun = ""
    if begun.strip(" ") or not found:
        raise _refused(f"{begun.strip(' ')[:100]!r} has no address")
    return found


def _taken_apart(text: str) -> tuple[str, str]:
    """The name without its quotation marks, and what should be the address."""
    if not text.endswith(">"):
        if "<" in text:
            raise _refused("want Name <local@domain.example>, and nothing after the >")
        return "", text
    before, opened, address = text[:-1].rpartition("<")
    if not opened:
        raise _refused("a > without its <")
    plain = _QUOTED.sub("", before)
    if '"' in plain:
        raise _refused("a quotation mark in the name is not closed")
    if any(mark in plain for mark in "<>@"):
        raise _refused('want one address; a name with < > or @ stands in quotation marks: "Ann @ Acme" <a@b.example>')
    name = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), before)
    return " ".join(name.split()), address.strip(" ")


def _checked(address: str) -> str:
    local, at, domain = address.rpartition("@")
    if not at:
        raise _refused(f"want local@domain.example, not {address[:100]!r}")
    if len(address) > MAX_ADDRESS or len(local) > MAX_LOCAL:
        raise _refused(f"at most {MAX_LOCAL} characters before the @ and {MAX_ADDRESS} in all")
    if not local.isascii():
        raise _refused(f"{local!r} is not ASCII: it needs SMTPUTF8 (RFC 6531), which mail is not sent with")
    if not _LOCAL.fullmatch(local):
        raise _refused(f"{local!r} can't stand before the @: want letters, digits and dots between them")
    written = _ascii(domain)
    labels = written.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        raise _refused(f"{domain!r} is no domain like mail.example")
    if len(local) + 1 + len(written) > MAX_ADDRESS:
        raise _refused(f"at most {MAX_ADDRESS} characters in all")
    return f"{local}@{written}"


def _ascii(domain: str) -> str:
    """The domain as DNS has it, in lower case; "" when it has no such form."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return ""


def _refused(why: str) -> Reject:
    return Reject("address-invalid", why)
