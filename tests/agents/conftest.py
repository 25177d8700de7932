"""What the tests of the stages share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from agents.decisions.judge import Rules

# A law holds however slow the machine is; hypothesis' 200 ms an example are lost to a busy neighbour.
settings.register_profile("laws", deadline=None)
settings.load_profile("laws")


@pytest.fixture(scope="session")
def rules() -> Rules:
    """The packaged rules, compiled once."""
    return Rules.load()
