"""The error tree, named for the caller's next move.

Expected outcomes (a refused send, a bot's hit) are values, not exceptions. What is raised says what to do next.
"""

from __future__ import annotations

import msgspec

# What msgspec raises of bytes that are not what they should be: no JSON, not of that shape, no UTF-8, nested too deep.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class SendlensError(Exception):
    """Anything Sendlens raises on purpose."""


class Retry(SendlensError):
    """The same input may succeed later: wait, then try again. Nothing has been acknowledged."""


class Reject(SendlensError):
    """This input can never succeed: set it aside with its `reason` (one word, used as a metric label) and go on."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Misconfigured(SendlensError):
    """The program can't run as it is set up: the message names the setting to fix, then restart."""
