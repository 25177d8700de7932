from __future__ import annotations

import pytest

from agents.decisions.judge import Rules


@pytest.fixture(scope="session")
def rules() -> Rules:
    """The packaged rules, compiled once."""
    return Rules.load()
