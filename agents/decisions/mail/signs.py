"""The packaged patterns that tell kinds of mail apart, compiled once; RE2, for they run over what strangers write."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from agents.decisions.tables import rows

_MOST = 4000  # characters that a sign is looked for in


@lru_cache(maxsize=1)
def _table() -> dict[str, list[Any]]:
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    table: dict[str, list[Any]] = {}
    for place, (sign, pattern, _) in rows("mail_signs.tsv", 3):
        try:
            table.setdefault(sign, []).append(re2.compile(pattern.encode(), options).search)
        except re2.error as error:
            raise ValueError(f"{place}: {error}") from None
    return table


def shows(sign: str, text: str) -> bool:
    """Whether the text shows the sign. Raises KeyError for a sign that no line of the table has."""
    raw = text[:_MOST].encode("utf-8", "replace")
    return any(search(raw) for search in _table()[sign])
