"""Gmail shows the first 102 kB of an email's HTML: what stands behind that is neither loaded nor clicked.

It says "[Message clipped]" and links to the whole, which few readers open.
"""

from __future__ import annotations

from decisions.sending.rewrite import PLACEHOLDER_NAME

SHOWN_BYTES = 102_400  # observed by senders, Google publishes none
_PER_LINK = 200  # bytes that tracking adds to a link, about

PIXEL_CLIPPED = "pixel-clipped"
UNSUBSCRIBE_CLIPPED = "unsubscribe-clipped"
MAY_BE_CLIPPED = "clipped"


def is_whole(html: str) -> bool:
    """Whether Gmail shows all of it, as of nearly every email: then nothing needs to be looked for in it."""
    if len(html) <= SHOWN_BYTES // 4:
        return True
    return len(html) < SHOWN_BYTES and len(html.encode("utf-8", "replace")) < SHOWN_BYTES


def is_clipped(html: str, at: int) -> bool:
    """Whether what stands at this character is behind what Gmail shows."""
    return at > SHOWN_BYTES // 4 and len(html[:at].encode("utf-8", "replace")) >= SHOWN_BYTES


def place_of(html: str, what: str, number: int = 0) -> int:
    """Where something stands for the `number`th time, counted from 0; -1 where it does not."""
    at = -1
    for _ in range(number + 1):
        at = html.find(what, at + 1)
        if at < 0:
            break
    return at


def may_be_clipped(html: str, pixel: str) -> bool:
    """Whether the unsubscribe link, or a pixel at the bottom, may be behind what Gmail shows once the HTML is tracked:
    by its length and by what tracking adds, without reading it."""
    if len(html) < SHOWN_BYTES // 8:
        return False
    own = html.rfind(PLACEHOLDER_NAME)
    shown = html[:own] if own >= 0 and pixel != "bottom" else html
    return len(shown.encode("utf-8", "replace")) + shown.lower().count("href") * _PER_LINK > SHOWN_BYTES
