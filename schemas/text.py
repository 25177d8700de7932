"""Characters of texts that strangers write: which of them steer a terminal or a reader's eye, and texts without them.

Control characters (C0, DEL, C1) move the cursor, ring and colour; bidirectional embeddings, overrides and isolates
(UAX #9) show a text in another order than it is read. The marks that Arabic and Hebrew are written with (U+200E,
U+200F, U+061C) are text: they are taken everywhere but in ids.
"""

from __future__ import annotations

import re
import unicodedata

_BREAKS = "\t\n\x0b\x0c\r\x85\u2028\u2029"
# Written out as escapes and not as the characters, which would steer who reads this.
_BIDI = r"\u202a-\u202e\u2066-\u2069"
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_MARKS = r"\u200e\u200f\u061c"

_CONTROL = re.compile(f"[{_CONTROLS}\ud800-\udfff]")
_STEERING = re.compile(f"[{_CONTROLS}{_BIDI}{_MARKS}\ud800-\udfff]")
_UNSHOWN = re.compile(rf"[{_CONTROLS}]")
_ORDER = re.compile(f"[{_BIDI}]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_TO_BLANK = {ord(character): " " for character in _BREAKS}
_UNSHOWN_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RAW_IN_JSON = re.compile(rf"[\x7f-\x9f\u2028\u2029{_BIDI}]")
_INSTEAD = "\ufffd"


def first_control(text: str) -> str:
    """The first control character of the text, or lone surrogate, as people name it; "" when there is none."""
    return "" if text.isprintable() else _first(_CONTROL, text)


def first_steering(text: str) -> str:
    """The first character that an id may not hold, as people name it; "" when there is none. An id stands in lists
    and messages beside others, so it holds no bidirectional control at all."""
    return "" if text.isprintable() else _first(_STEERING, text)


def one_line(text: str) -> str:
    """The text in one line, harmless to show: breaks become blanks, control characters U+FFFD, and what changes the
    order of characters is left out."""
    if text.isprintable():
        return text
    return _ORDER.sub("", _UNSHOWN.sub(_INSTEAD, text.replace("\r\n", " ").translate(_TO_BLANK)))


def some_lines(text: str) -> str:
    """As `one_line`, but the text keeps its lines, which end with LF, and its tabs."""
    if text.isprintable():
        return text
    return _ORDER.sub("", _UNSHOWN_IN_LINES.sub(_INSTEAD, _LINE_ENDS.sub("\n", text)))


def escaped(json: str) -> str:
    """JSON that is harmless to show: what JSON doesn't have to escape and a terminal obeys is escaped too."""
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    if found is None:
        return ""
    name = unicodedata.name(found[0], "")
    return f"U+{ord(found[0]):04X}" + (f" {name}" if name else "")
