"""What of a report's words we wrote ourselves: neither the subject of our mail nor its text is a server's verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass

from decisions.mail.charsets import decode_words
from decisions.mail.parts import MimePart
from decisions.mail.returned import ReturnedMail
from decisions.mail.signs import find, shows

_MOST_LINES = 1200
_MOST_BODY = 16 << 10  # characters of the returned text that lines are looked for in
_MOST_SUBJECT = 60  # words
_FEW = 3  # words that a server's verdict may have in common with our subject, or with a line of ours
_GOES_ON = 3  # lines of a folded subject
_SUBJECT = ("subject-label", "subject-quoted", "subject-below")
_QUOTED = re.compile(r"[>|\s]+")
_CODE = re.compile(r"(?<![\d.])[45]\d\d(?:[ -]|$)|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])")


def without_ours(report: ReturnedMail) -> str:
    """The report's words without the lines that tell our subject, and without our text.

    Lines stay where they are, emptied.
    """
    lines = report.words.split("\n")
    kept = lines[:_MOST_LINES]
    if any(shows(sign, report.words, len(report.words)) for sign in _SUBJECT):
        kept = _without_subject(kept)
    kept = _without_quotes(kept) + lines[_MOST_LINES:]
    if report.returned is None:
        return "\n".join(kept)
    body = _folded(_text_of(report.returned))
    kept = ["" if _is_ours(line, body) else line for line in kept[:_MOST_LINES]] + kept[_MOST_LINES:]
    return _without_phrase("\n".join(kept), decode_words(report.returned.get("subject")))


def reason_in_subject(subject: str) -> str:
    """The report's own subject where its server writes the reason there; "" where what follows may well be ours."""
    return subject if shows("reason-in-subject", subject) else ""


def _without_subject(lines: list[str]) -> list[str]:
    """The lines without our subject: behind a label, and what it goes on in; in quotation marks; or announced above."""
    kept: list[str] = []
    below = _Below()
    for line in lines:
        quoted = find("subject-quoted", line)
        if quoted is not None:
            line = line[: quoted.start] + line[quoted.end :]
        if _CODE.search(line):
            below = _Below()
        elif label := find("subject-label", line):
            below = _Below(lines=_GOES_ON, indent=_indent(line))
            line = line[: label.start]
        elif label := find("subject-below", line):
            below = _Below(lines=_GOES_ON, over_blanks=True)
            line = line[: label.start]
        else:
            line, below = below.read(line)
        kept.append(line)
    return kept


def _without_quotes(lines: list[str]) -> list[str]:
    """The lines without what is quoted as people's mail is, but for a server's words and what has a code or an address.

    A report that is quoted as a whole stays.
    """
    quoted = [line.startswith(">") and not line.startswith(">>") for line in lines]
    if not any(quoted) or 5 * sum(quoted) > 4 * sum(bool(line.strip()) for line in lines):
        return lines
    kept: list[str] = []
    above = ""
    for line, is_quoted in zip(lines, quoted, strict=True):
        is_ours = is_quoted and not ("@" in line or _CODE.search(line) or shows("server-said", above))
        kept.append("" if is_ours else line)
        if not is_quoted and line.strip():
            above = line
    return kept


@dataclass(frozen=True, slots=True)
class _Below:
    """How our subject may go on in the lines below: so many, those deeper than `indent`, or the first after blanks."""

    lines: int = 0
    indent: int = -1
    over_blanks: bool = False

    def read(self, line: str) -> tuple[str, _Below]:
        """A line as it is kept, and how the subject may go on after it."""
        if self.lines and not line.strip():
            return line, self if self.over_blanks else _Below()
        goes_on = _indent(line) > self.indent and "@" not in line
        if not self.lines or not goes_on or not (self.over_blanks or not shows("header-label", line)):
            return line, _Below()
        return "", _Below(self.lines - 1, self.indent)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_ours(line: str, body: str) -> bool:
    """Whether a line with more than a few words stands in the text that we sent, however it is quoted here."""
    told = _folded(line)
    return told.count(" ") >= _FEW and "@" not in told and not _CODE.search(told) and told in body


def _without_phrase(words: str, subject: str) -> str:
    """The words without our subject where it stands in them: quoted, or in any way if it is longer than a verdict."""
    parts = _QUOTED.sub(" ", subject).split()[:_MOST_SUBJECT]
    if not parts:
        return words
    phrase = _QUOTED.pattern.join(map(re.escape, parts))
    if len(parts) <= _FEW:
        phrase = rf"[\"'“”«»‘’„]{phrase}[\"'“”«»‘’]"
    return re.compile(phrase, re.IGNORECASE).sub(" ", words)


def _text_of(returned: MimePart) -> str:
    return "\n".join(
        part.text()[:_MOST_BODY]
        for part in list(returned.walk())[:20]
        if part.content_type.startswith("text/") and not part.parts and not part.attached
    )[:_MOST_BODY]


def _folded(text: str) -> str:
    return _QUOTED.sub(" ", text).strip().lower()
