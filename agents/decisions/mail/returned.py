"""What a report carries of the mail it is about, and the words that stand before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.decisions.mail.html import html_text
from agents.decisions.mail.parts import Part, parse, parse_headers

_RETURNED = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_MOST_WORDS = 64 << 10  # characters of a report's own words that are read

# Lines that end what a report says itself; what follows is the returned mail.
_MARK = re.compile(
    r"^[ \t>*#|=_-]{0,80}(?:"
    r"below this line is a copy of the message|this is a copy of (?:the|your) (?:message|mail|headers|original)"
    r"|below is a copy of|(?:the )?(?:body of the )?original (?:message|mail|e-?mail)"
    r"(?: (?:follows|headers?|text|information|was received with))?\b[ .:*#|=_-]*$"
    r"|the header of the original message is following|(?:the )?original message (?:headers? )?follows?"
    r"|message headers? follows?|(?:the )?headers? of the original|unsent message (?:follows|below)"
    r"|returned (?:message|mail) (?:follows|below|is)|returned message|undelivered message follows"
    r"|copy of (?:the )?(?:original )?message|start of returned (?:message|mail)|message header"
    r"|full (?:message )?headers?|non-delivered message|your (?:original )?(?:message|mail) (?:reads|follows)\b.{0,40}$"
    r"|included is a copy of the message|text of (?:the )?original message"
    r"|-+ ?(?:original|returned|unsent|undelivered) (?:message|mail).{0,40}-+"
    r"|the following is (?:a copy of )?(?:the|your) (?:original )?(?:message|mail)"
    r"|original-?message|元のメッセージ|エラーとなったメール|original nachricht|message (?:d'origine|original)"
    r")",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_LINE = re.compile(
    r"^(?:Received|Return-Path|Message-Id|DKIM-Signature|MIME-Version|X-[A-Za-z-]{2,40}|From|To|Subject|Date|Reply-To|"
    r"Content-Type|Sender|References)[ \t]*:",
    re.IGNORECASE,
)


_ANY_HEADER = re.compile(r"^[A-Za-z][A-Za-z0-9]{1,30}(?:-[A-Za-z0-9]{1,30}){0,6}:(?:\s|$)")


@dataclass(slots=True)
class Report:
    """A mail that may be a report: its own words, machine-readable parts, and what it returns."""

    words: str
    returned: Part | None


def report(mail: Part) -> Report:
    """Take a mail apart into what it says and what it returns."""
    plain: list[str] = []
    rich: list[str] = []
    returned: Part | None = None
    for part in mail.walk():
        if part.content_type in _RETURNED:
            returned = returned or _opened(part)
        elif part.content_type == "text/html":
            rich.append(part.text())
        elif part.content_type.startswith("text/") and not part.parts:
            text = part.text()
            if part.attached and _is_header(text):
                returned = returned or parse(text.encode())
            else:
                plain.append(text)
    words = "\n".join(plain)
    if not words.strip() or (rich and "@" not in words):
        words = "\n".join([words, *map(html_text, rich)])
    words = words[:_MOST_WORDS]
    cut = _cut(words)
    if cut >= 0:
        if returned is None:
            returned = _within(words[cut:])
        words = words[:cut]
    return Report(words, returned)


def _opened(part: Part) -> Part:
    if part.parts:
        return part.parts[0]
    return parse(part.text().encode("utf-8", "replace"))


def _is_header(text: str) -> bool:
    return len(parse_headers(text.lstrip().encode("utf-8", "replace")[:8192])[0]) >= 3


def _cut(words: str) -> int:
    """Where the returned mail begins in the words: at a line that says so, or at a run of header lines; -1: nowhere."""
    found = _MARK.search(words)
    at, run, start = 0, 0, -1
    for line in words.split("\n"):
        if _HEADER_LINE.match(line):
            start = at if run == 0 else start
            run += 1
            if run >= 4:
                break
        elif run and not line.startswith((" ", "\t")):
            run = 0
        at += len(line) + 1
    block = start if run >= 4 else -1
    mark = found.start() if found else -1
    if mark < 0 or block < 0:
        return max(mark, block)
    return min(mark, block)


def _within(text: str) -> Part | None:
    """The returned mail inside the text that follows its mark: its headers begin at the first header line."""
    at = 0
    for line in text.split("\n")[:80]:
        if _ANY_HEADER.match(line.lstrip("> \t|")):
            body = text[at : at + _MOST_WORDS]
            prefix = line[: len(line) - len(line.lstrip("> \t|"))]
            if prefix:
                body = "\n".join(each.removeprefix(prefix) for each in body.split("\n"))
            return parse(body.encode("utf-8", "replace"))
        at += len(line) + 1
    return None
