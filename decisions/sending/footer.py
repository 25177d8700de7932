"""What the footer's link says: "Unsubscribe", in the language of the email."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = 4096  # characters in which the html element begins; more are not read
# HTML, 3.2.6.2: the language of the document, a tag of RFC 5646.
_HTML = re.compile(r"<html\b([^<>]*+)>", re.IGNORECASE)
_LANG = re.compile(r"""(?<![\w:-])(?:xml:)?lang\s*+=\s*+["']?([a-z]{2,3})(?![a-z])""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FooterWords:
    """The link's text by language, and the language of emails that name none of them."""

    by_language: Mapping[str, str]
    default: str

    def of(self, html: str) -> str:
        """The words for an email of this HTML, which may be empty."""
        return self.by_language.get(language_of(html), self.by_language[self.default])


def language_of(html: str) -> str:
    """The language that the HTML names, its first subtag in lower case; "" when it names none."""
    element = _HTML.search(html[:_HEAD])
    named = _LANG.search(element[1]) if element else None
    return named[1].lower() if named else ""
