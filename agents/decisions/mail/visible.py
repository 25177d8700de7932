"""What the writer of a mail wrote: the text without quotes and signatures."""

from __future__ import annotations

import re

from agents.decisions.mail.html import html_text
from agents.decisions.mail.parts import Part

MOST_TEXT = 256 << 10
_QUOTED = re.compile(r"^ ?>|wrote:\s*$|-{3,} ?Original Message", re.MULTILINE | re.IGNORECASE)


def body_text(mail: Part) -> str:
    """The text of a mail: its first plain part that says anything, else its HTML as text."""
    rich = ""
    for part in mail.walk():
        if part.attached or part.parts or not part.content_type.startswith("text/"):
            continue
        if part.content_type == "text/html":
            rich = rich or part.text()
        elif part.content_type != "text/calendar":
            text = part.text()
            if text.strip():
                return text[:MOST_TEXT]
    return html_text(rich)[:MOST_TEXT] if rich else ""


def has_quote(mail: Part) -> bool:
    """Whether the text holds a quoted mail."""
    return _QUOTED.search(body_text(mail)) is not None


def visible_text(mail: Part) -> str:
    """What its writer wrote, as far as that can be told from what they quote."""
    return body_text(mail).strip()
