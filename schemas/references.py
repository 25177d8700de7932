"""Character references of HTML (WHATWG, 13.2.5.72): `&amp;`, `&#38;`, `&#x26;`."""

from __future__ import annotations

import html
import re

# A number so long that it is no character, or has zeros before it: Python reads no decimal number of over 4,300 digits.
_LONG = re.compile(r"&#(?:([0-9]{8,}+)|[xX]([0-9a-fA-F]{8,}+));?")
_MOST_DIGITS = 7  # of the last character there is: &#1114111;


def unescape(text: str) -> str:
    """The text with its references decoded. Any text has an answer; a number that is no character is U+FFFD."""
    if "&#" in text:
        text = _LONG.sub(_shortened, text)
    return html.unescape(text)


def _shortened(found: re.Match[str]) -> str:
    digits = found[found.lastindex or 0].lstrip("0")
    if len(digits) > _MOST_DIGITS:
        return "\ufffd"
    return f"&#{'' if found[1] else 'x'}{digits or '0'};"
