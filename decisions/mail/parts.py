"""Takes a raw mail apart: headers, parts, text. For mail that is broken or hostile, which the strict parsers refuse.

The standard library's parser reads line by line through every open multipart, which deep nesting makes quadratic; this
one finds boundaries by search, so its work is linear in the bytes for each of at most `MAX_DEPTH` levels. What lies
beyond a bound is not looked at: a bounce says what it has to say near its beginning. Never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from decisions.mail.charsets import decode, decode_words, encoded_charsets, transferred

MAX_DEPTH = 12  # of multiparts and enclosed messages; real mail has six at the most
MAX_PARTS = 120  # of one mail; a digest has some dozens
MAX_HEADERS = 600  # of one part
MAX_HEADER_BYTES = 256 << 10  # of one part's header section
MAX_VALUE = 16 << 10  # characters of one header
MAX_TEXT = 512 << 10  # bytes of one part that are read as text

_NAME = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,100})[ \t]*:")
_PARAMETER = re.compile(r""";\s*+([A-Za-z0-9_-]{1,40})(\*\d{0,2}\*?)?\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]*+))""")
_META = re.compile(rb"<meta\b[^<>]{0,200}?charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_CONTINUED = (b" ", b"\t")


@dataclass(slots=True)
class MimePart:
    """One part of a mail, itself a mail at the top and inside `message/rfc822`. Header names are in lower case."""

    headers: list[tuple[str, str]]
    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: list[MimePart] = field(default_factory=list)
    hint: str = ""  # a charset that its headers name in an encoded word, or those of the mail around it

    def get(self, name: str) -> str:
        """A header's value, unfolded and not decoded; "" when it is missing. `name` in lower case."""
        return next((value for at, value in self.headers if at == name), "")

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for at, value in self.headers if at == name]

    def words(self, name: str) -> str:
        """A header's value with its encoded words decoded."""
        return decode_words(self.get(name))

    @property
    def attached(self) -> bool:
        """Whether it is marked as a file rather than something to read."""
        return self.get("content-disposition")[:10].lower() == "attachment"

    def text(self) -> str:
        """The body as text: the first half megabyte of it."""
        raw = transferred(self.body[:MAX_TEXT], self.get("content-transfer-encoding"))
        charset = self.parameters.get("charset", "")
        hint = self.hint
        if self.content_type == "text/html" and (found := _META.search(raw[:4096])):
            hint = found[1].decode("ascii")
        return decode(raw, charset, hint).replace("\r\n", "\n").replace("\0", "")

    def walk(self, into_messages: bool = False) -> Iterator[MimePart]:
        """This part and those inside it in order; those of an enclosed message only when asked for."""
        yield self
        if into_messages or not self.content_type.startswith("message/"):
            for part in self.parts:
                yield from part.walk(into_messages)


class _PartBudget:
    """How many parts may still be made."""

    left = MAX_PARTS


def parse(raw: bytes) -> MimePart:
    """The mail's parts. Any bytes are a mail: what has no header is all body."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    raw = raw.lstrip(b"\n\t \xef\xbb\xbf\0")
    if raw.startswith((b"From ", b">From ")):  # the line an mbox puts before each mail
        raw = raw.partition(b"\n")[2]
    return _part(raw, 0, _PartBudget())


def parse_headers(raw: bytes) -> tuple[list[tuple[str, str]], int]:
    """The header section at the start of `raw`, and where what follows it begins."""
    headers: list[tuple[str, str]] = []
    at, limit = 0, min(len(raw), MAX_HEADER_BYTES)
    name, lines = "", [b""]
    while at < limit:
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        line = raw[at:end]
        if line.startswith(_CONTINUED) and name:
            if not line.strip() and not _go_on(raw[end + 1 : end + 120]):
                break
            lines.append(line[:MAX_VALUE])
        else:
            found = _NAME.match(line)
            if found is None or len(headers) >= MAX_HEADERS:
                break
            if name:
                headers.append((name, _value(lines)))
            name, lines = found[1].decode("ascii").lower(), [line[found.end() : found.end() + MAX_VALUE]]
        at = end + 1
    if name:
        headers.append((name, _value(lines)))
    return headers, _body_at(raw, at, is_headed=bool(headers))


def _go_on(following: bytes) -> bool:
    """Whether headers go on behind a line of blanks, which ends them for many and continues them for others."""
    return following.startswith(_CONTINUED) or _NAME.match(following) is not None


def _body_at(raw: bytes, at: int, *, is_headed: bool) -> int:
    """Where the body begins: behind the empty line, or a line of blanks, that ends the headers at `at`."""
    if raw[at : at + 1] == b"\n":
        return at + 1
    if is_headed and not raw[at : raw.find(b"\n", at) if b"\n" in raw[at:] else len(raw)].strip():
        return raw.find(b"\n", at) + 1 or len(raw)
    return at


def _value(lines: list[bytes]) -> str:
    if len(lines) == 1:
        return decode(lines[0].strip())[:MAX_VALUE]
    return decode(b" ".join(line.strip() for line in lines[:400]).strip())[:MAX_VALUE]


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """Type and parameters of a Content-Type; what is in pieces or percent-encoded (RFC 2231) is put together."""
    kind = value.partition(";")[0].strip().lower()
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    if ";" in value:
        for name, star, quoted, plain in _PARAMETER.findall(value[:4096]):
            number = star.strip("*")
            piece = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
            pieces.setdefault(name.lower(), {})[int(number) if number else -1] = piece, star.endswith("*")
    parameters = {name: _joined(each) for name, each in pieces.items()}
    return (kind if "/" in kind else "text/plain"), parameters


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """A parameter's value from its pieces by number, each with whether it is percent-encoded; -1 is a whole one."""
    if -1 in pieces:
        pieces = {-1: pieces[-1]}
    value, charset = b"", ""
    for at, number in enumerate(sorted(pieces)):
        piece, encoded = pieces[number]
        if encoded and at == 0 and piece.count("'") >= 2:  # RFC 2231, 4: charset'language'value
            charset, _, piece = piece.split("'", 2)
        value += unquote_to_bytes(piece) if encoded else piece.encode("utf-8", "surrogateescape")
    return decode(value, charset)


def _part(raw: bytes, depth: int, budget: _PartBudget, default: str = "text/plain", hint: str = "") -> MimePart:
    headers, at = parse_headers(raw)
    part = MimePart(headers, body=raw[at:], hint=_hint(headers) or hint)
    declared = part.get("content-type")
    part.content_type, part.parameters = content_type(declared) if declared else (default, {})
    if depth >= MAX_DEPTH or budget.left <= 0:
        return part
    if part.content_type.startswith("multipart/"):
        inner = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        for piece in _pieces(part.body, part.parameters.get("boundary", "")):
            budget.left -= 1
            if budget.left < 0:
                break
            part.parts.append(_part(piece, depth + 1, budget, inner, part.hint))
        if not part.parts:  # boundary missing or wrong: read it as it stands
            part.content_type = "text/plain"
    elif part.content_type in ("message/rfc822", "message/global"):
        body = part.body
        if part.get("content-transfer-encoding").strip().lower() in ("base64", "quoted-printable"):
            body = transferred(body[: 4 << 20], part.get("content-transfer-encoding"))
        budget.left -= 1
        part.parts.append(_part(body.lstrip(b"\n"), depth + 1, budget, hint=part.hint))
    return part


def _hint(headers: list[tuple[str, str]]) -> str:
    """The first charset that an encoded word names, other than the two that a text without one has anyway."""
    for _, value in headers:
        if "=?" in value:
            for charset in encoded_charsets(value):
                if charset.lower() not in ("utf-8", "us-ascii"):
                    return charset
    return ""


def _pieces(body: bytes, boundary: str) -> Iterator[bytes]:
    """What lies between the boundary's lines. Without a boundary the first line that looks like one is taken."""
    if not boundary:
        found = re.search(rb"(?:^|\n)--([^\s-][^\n]{0,200})\n", body[:8192])
        if found is None:
            return
        mark = b"--" + found[1].rstrip()
    else:
        mark = b"--" + boundary.rstrip().encode("utf-8", "replace")
    lines = re.compile(rb"^" + re.escape(mark) + rb"(--)?[ \t]*$", re.MULTILINE)
    start = -1
    for line in lines.finditer(body):
        if start >= 0:
            yield body[start : max(start, line.start() - 1)]
        start = line.end() + 1
        if line[1]:
            return
    if 0 <= start < len(body):
        yield body[start:]  # cut short: what there is of the last part
