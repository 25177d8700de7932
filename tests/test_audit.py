"""What `make audit` makes of pip-audit's answer: silence of the database is never taken for a clean bill."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audit import FOUND, UNREACHABLE, verdict

CLEAN = {"name": "msgspec", "version": "0.20", "vulns": []}
FAULTY = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "mirrored", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ([CLEAN], 0, "1 packages audited, 0 known"),
        ([CLEAN, FAULTY], FOUND, "old 1.0: PYSEC-1, fixed in 1.1"),
        ([FAULTY, UNKNOWN], FOUND, "has them not: mirrored"),
        ([UNKNOWN, UNKNOWN], UNREACHABLE, "all of them"),
    ],
)
def test_a_verdict(answer: list[dict[str, Any]], code: int, says: str) -> None:
    given, words = verdict(answer)
    assert given == code
    assert says in words
