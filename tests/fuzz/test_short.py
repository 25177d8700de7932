"""A short run of what `make fuzz` does for ten minutes each: what was kept, and what hypothesis makes of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import inputs
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_kept_holds(target: str) -> None:
    kept = inputs(target)
    assert len(kept) > 5
    for data in kept:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_made_of_it_holds(target: str) -> None:
    kept = st.sampled_from(inputs(target))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kept, kept, st.integers(0), st.integers(0), st.binary(max_size=40))
    def spliced(one: bytes, other: bytes, until: int, since: int, between: bytes) -> None:
        TARGETS[target](one[: until % (len(one) + 1)] + between + other[since % (len(other) + 1) :])

    spliced()
