"""The front door: a play of the mail world ends equal to the truth, and a lie is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installation import environment, running
from tests.world.recipients import KINDS, population
from tests.world.truth import Truth, differences


@pytest.mark.timeout(300)
def test_the_demo_ends_equal_to_the_truth(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with running(["demo", "--check", "--leads", "60"], settings, tmp_path / "demo.log") as demo:
        assert demo.popen.wait(240) == 0, demo.output()
    said = demo.output()
    assert "EQUAL: every number in ClickHouse, and on the page, is the truth" in said
    assert "DIFFERENT" not in said


def test_every_kind_of_recipient_takes_part() -> None:
    assert {kind.name for kind in population(60, seed=1)} == {kind.name for kind in KINDS}


def test_a_number_that_differs_is_named() -> None:
    truths = {(1, "A"): Truth(sent=10, delivered=9, openers={"lead-1"}, hits=4, bot_hits=1)}
    equal = {"sent": 10, "delivered": 9, "openers": 1, "hits": 4, "bot_hits": 1}
    assert differences(truths, {"events": {(1, "A"): equal}}) == []
    assert differences(truths, {"events": {(1, "A"): equal | {"openers": 2}}}) == [
        "step 1 variant A: openers is 1, events say 2"
    ]
    assert differences(truths, {"events": {(1, "A"): equal, (1, "B"): equal}})[0] == (
        "step 1 variant B: sent is 0, events say 10"
    )
    assert differences(truths, {"events": {}}) != [], "an empty answer is not the truth"
