"""What a report carries of the mail it is about, and the words that stand before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from decisions.mail.addresses import addresses
from decisions.mail.html import html_text
from decisions.mail.parts import MimePart, parse, parse_headers
from decisions.mail.signs import find, shows

_RETURNED = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_MAILS = ("message/rfc822", "message/global")
_STATUSES = ("message/delivery-status", "message/global-delivery-status")
_MOST_WORDS = 64 << 10  # characters of a report's own words that are read

_HEADER_LINE = re.compile(
    r"^(?:Received|Return-Path|Message-Id|DKIM-Signature|MIME-Version|X-[A-Za-z-]{2,40}|From|To|Subject|Date|Reply-To|"
    r"Content-Type|Sender|References)[ \t]*:",
    re.IGNORECASE,
)


_ANY_HEADER = re.compile(r"^[A-Za-z][A-Za-z0-9]{1,30}(?:-[A-Za-z0-9]{1,30}){0,6}:(?:\s|$)")


@dataclass(slots=True)
class ReturnedMail:
    """A mail that may be a report: its own words, machine-readable parts, and what it returns."""

    words: str
    returned: MimePart | None


def report(mail: MimePart) -> ReturnedMail:
    """Take a mail apart into what it says and what it returns."""
    plain: list[str] = []
    rich: list[str] = []
    returned: MimePart | None = None
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
    return ReturnedMail(words, returned)


def wrapped_report(mail: MimePart) -> MimePart | None:
    """The report inside a mail that only wraps it, as gateways and virus scanners do; None for any other mail.

    The mail around it is a mail system's, or goes to whom the report went: a person who asks about a bounce passes on
    one that came to them. A mail with a delivery status of its own is about that.
    """
    subject = mail.words("subject")
    if mail.get("in-reply-to") or shows("reply-prefix", subject) or shows("forward-prefix", subject):
        return None
    if any(part.content_type in _STATUSES for part in mail.walk()):
        return None
    by_system, went_to = _is_of_machine(mail), _went_to(mail)
    enclosed = (part.parts[0] for part in mail.walk() if part.content_type in _MAILS and part.parts)
    return next((inner for inner in enclosed if _is_report(inner) and (by_system or went_to & _went_to(inner))), None)


def _went_to(mail: MimePart) -> set[str]:
    return {address.lower() for value in mail.all("to")[:5] for address in addresses(value)[:20]}


def _is_of_machine(mail: MimePart) -> bool:
    by_form = mail.parameters.get("report-type", "").lower() == "delivery-status"
    return by_form or _is_of_mail_system(mail) or shows("bounce-subject", mail.words("subject"))


def _is_of_mail_system(mail: MimePart) -> bool:
    sender = mail.words("from")
    return shows("bounce-sender", sender) or shows("bounce-sender", sender.rpartition("<")[2])


def _is_report(mail: MimePart) -> bool:
    """Whether it has a delivery status, or is a bounce in words by sender and subject."""
    if any(part.content_type in _STATUSES for part in mail.walk()):
        return True
    return _is_of_mail_system(mail) and shows("bounce-subject", mail.words("subject"))


def _opened(part: MimePart) -> MimePart:
    if part.parts:
        return part.parts[0]
    return parse(part.text().encode("utf-8", "replace"))


def _is_header(text: str) -> bool:
    return len(parse_headers(text.lstrip().encode("utf-8", "replace")[:8192])[0]) >= 3


def _cut(words: str) -> int:
    """Where the returned mail begins in the words: at a line that says so, or at a run of header lines; -1: nowhere."""
    found = find("returned-mark", words, _MOST_WORDS)
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
    mark = found.start if found else -1
    if mark < 0 or block < 0:
        return max(mark, block)
    return min(mark, block)


def _within(text: str) -> MimePart | None:
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
