"""Patterns for what strangers write: RE2 looks at each character once, however a text is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import re2

# What `str.isspace` calls white space; RE2's own \\s is ASCII's.
_SPACES = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"

Search = Callable[[bytes], Any]


def searcher(pattern: str) -> Search:
    """What looks for the pattern, capital letters or not, in the UTF-8 of a text. Raises ValueError."""
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    try:
        search: Search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        raise ValueError(str(error)) from None
    return search


def utf8(text: str) -> bytes:
    """A text as `searcher` wants it."""
    return text.encode("utf-8", "replace")


def with_spaces(pattern: str) -> str:
    """The pattern with `~s` for any white space, also within a class, and `~S` for anything else."""
    return pattern.replace("~s", _SPACES).replace("~S", f"[^{_SPACES}]")
