"""An email's bytes as they go over the wire: headers folded so that no address breaks, text in quoted-printable.

Written by hand because Python's email policies fold and encode long headers in ways that break List-Unsubscribe and
Message-ID in real clients, and take longer than everything else together. Lines end with CR LF and stay under the 998
octets of RFC 5322, 2.1.1.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence

from schemas.addresses import DisplayAddress, mailboxes
from schemas.errors import Reject
from schemas.headers import OF_ADDRESSES
from schemas.text import first_control

MAX_LINE = 998
_FOLD_AT = 78

_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_QP_LINE = 76  # RFC 2045, 6.7, rule 5
_BASE64_LINE = 76  # RFC 2045, 6.8
_FRAGILE = (b".", b"From ")
_MAYBE_FRAGILE = b".F"  # how those begin: a look at one byte spares most lines a call
_EQUALS = ord("=")
_BLANKS = (b" ", b"\t")
_MOST_KEPT, _MOST_LINES = 1_000_000, 20_000  # octets and lines of what a `LineCoder` keeps
_AS_IS = bytes([*b"\t\n", *range(0x20, 0x7F)])
_LONE_CR = re.compile(r"\r(?!\n)")


def spelled(mailbox: DisplayAddress) -> str:
    """A mailbox as a header spells it, a name that is not ASCII as encoded words (RFC 2047)."""
    name = mailbox.name
    if not name:
        return mailbox.address
    if not name.isascii():
        name = encoded_words(name)
    elif not _ATOMS.fullmatch(name):  # names that come as encoded words already are atoms
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{mailbox.address}>"


def header(name: str, value: str) -> bytes:
    """One header with its line end, folded at white space only, so that what has none stays in one piece.

    `name` is one that a header can have. Raises Reject: control-character; header-too-long when a line can't be folded.
    """
    control = first_control(value)
    if control:
        raise Reject("control-character", f"{name}: {control}")
    if name.lower() in OF_ADDRESSES:  # RFC 2047, 5: encoded words may be in the names, nowhere else
        value = ", ".join(map(spelled, mailboxes(value)))
    if value and not _PLAIN.fullmatch(value):
        value = encoded_words(value)
    elif len(name) + 2 + len(value) <= _FOLD_AT and value:
        return f"{name}: {value}\r\n".encode("ascii")
    lines = [f"{name}:"]
    for word in value.split():
        if len(lines[-1]) + 1 + len(word) > _FOLD_AT and lines[-1] != f"{name}:":
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    if max(map(len, lines)) > MAX_LINE:
        raise Reject("header-too-long", f"{name} has a word of more than {MAX_LINE - len(name) - 2} octets")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def encoded_words(text: str) -> str:
    """Encode as RFC 2047 words of at most 75 characters, none of which cuts a character."""
    words, chunk = [], b""
    for character in text:
        raw = character.encode()
        if len(chunk) + len(raw) > 45:
            words.append(chunk)
            chunk = b""
        chunk += raw
    words.append(chunk)
    return " ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def quoted_printable(raw: bytes) -> bytes:
    """Quoted-printable (RFC 2045, 6.7) of text whose lines end with LF; those of what comes back end with CR LF.

    No line begins with a dot, which some servers on the way drop or double, nor with "From ", which others write as
    ">From " (RFC 2049, 3).

    A third faster than binascii.b2a_qp: what needs no coding, which is nearly all of it, is moved in one go.
    """
    return b"\r\n".join(_coded(raw))


class LineCoder:
    """Codes a text as `quoted_printable` does. Keeps the text coded last: a line that stands in the next at the same
    place is not coded again. Nothing but the time it takes depends on that."""

    def __init__(self) -> None:
        self._last: tuple[list[bytes], list[bytes]] = [], []

    def __call__(self, raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        last, coded = self._last
        if len(lines) == len(last):
            known = list(map(bytes.__eq__, lines, last))
            new = iter(_coded(b"\n".join([line for line, same in zip(lines, known, strict=True) if not same])))
            coded = [was if same else next(new) for was, same in zip(coded, known, strict=True)]
        else:
            coded = _coded(raw)
        self._last = (lines, coded) if len(raw) <= _MOST_KEPT and len(lines) <= _MOST_LINES else ([], [])
        return b"\r\n".join(coded)


def _coded(raw: bytes) -> list[bytes]:
    """Each line as it is coded: one that becomes several holds their line ends."""
    coded = raw.replace(b"=", b"=3D")
    for byte in set(coded.translate(None, _AS_IS)):
        coded = coded.replace(bytes((byte,)), b"=%02X" % byte)
    lines = coded.split(b"\n")
    for number, line in enumerate(lines):
        if line[-1:] in _BLANKS:  # white space at a line's end may get lost on the way
            line = b"%b=%02X" % (line[:-1], line[-1])
        if len(line) > _QP_LINE or line.startswith(_FRAGILE):
            line = _folded(line)
        lines[number] = line
    return lines


def _folded(line: bytes) -> bytes:
    """The line with soft line breaks: none in a code, and nothing fragile after one."""
    pieces: list[bytes] = []
    at, end = 0, len(line)
    while True:
        first = _first(line, at) if line[at] in _MAYBE_FRAGILE else b""
        room = _QP_LINE - 3 if first else _QP_LINE
        if end - at <= room:
            break
        to = at + room - 1
        if line[to - 1] == _EQUALS:
            to -= 1
        elif line[to - 2] == _EQUALS:
            to -= 2
        pieces.append(first + line[at + 1 : to] if first else line[at:to])
        at = to
    pieces.append(first + line[at + 1 :] if first else line[at:])
    return b"=\r\n".join(pieces)


def _first(line: bytes, at: int) -> bytes:
    """What stands for the character here when it may not begin a line, and nothing when it may."""
    return b"=%02X" % line[at] if line.startswith(_FRAGILE, at) else b""


def body(kind: str, text: str, coder: Callable[[bytes], bytes] = quoted_printable, *, exactly: bool = False) -> bytes:
    """A part of type text/`kind` with its headers. Line ends become CR LF, unless `exactly`; every other character is
    kept. `coder` is `quoted_printable`, or a `LineCoder`."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise Reject("not-unicode", f"the {kind} part holds a lone surrogate") from None
    if exactly or (b"\r" in raw and _LONE_CR.search(text)):
        encoding, coded = b"base64", _base64(raw)
    else:
        encoding, coded = b"quoted-printable", coder(raw.replace(b"\r\n", b"\n"))
    if not coded.endswith(b"\r\n"):
        coded += b"\r\n"
    return b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (
        kind.encode(),
        encoding,
        coded,
    )


def image(media_type: str, content_id: str, raw: bytes) -> bytes:
    """A part that HTML beside it shows as `cid:content_id` (RFC 2392). Raises Reject for what breaks its headers."""
    headers = header("Content-Type", media_type) + header("Content-ID", f"<{content_id}>")
    encoding = b"Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n"
    return b"%s%s\r\n%s" % (headers, encoding, _base64(raw))


def alternative(boundary: str, parts: Sequence[bytes]) -> bytes:
    """The multipart/alternative of the parts, plainest first. The boundary must hold `=_`, which no coded line does."""
    return _multipart(b"alternative", boundary, parts)


def related(boundary: str, html: bytes, parts: Sequence[bytes]) -> bytes:
    """The multipart/related (RFC 2387) of the HTML part and what it shows. Within another multipart neither boundary
    may begin with the other."""
    return _multipart(b'related; type="text/html"', boundary, (html, *parts))


def _multipart(kind: bytes, boundary: str, parts: Sequence[bytes]) -> bytes:
    mark = b"--" + boundary.encode()
    joined = b"".join(mark + b"\r\n" + part for part in parts)
    return b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n%s%s--\r\n' % (kind, boundary.encode(), joined, mark)


def _base64(raw: bytes) -> bytes:
    coded = binascii.b2a_base64(raw, newline=False)
    return b"".join(coded[at : at + _BASE64_LINE] + b"\r\n" for at in range(0, len(coded), _BASE64_LINE))
