"""The front door: a play of the mail world ends equal to the truth, and a lie is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installation import environment, running
from tests.world.recipients import KINDS, population
from tests.world.truth import Numbers, Truth, differences, part


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


@pytest.mark.parametrize("what", sorted(Truth().numbers()))
def test_each_number_that_differs_is_named(what: str) -> None:
    truths = {part(1, "A"): Truth(sent={"lead-1", "lead-2"}, openers={"lead-1"}, hits=4, bot_hits=1).numbers()}
    equal = dict(truths[part(1, "A")])
    assert differences(truths, {"events": {part(1, "A"): equal}}) == []
    one_more = equal | {what: equal[what] + 1}
    assert differences(truths, {"events": {part(1, "A"): one_more}}) == [
        f"step 1, A: {what} is {equal[what]}, events say {equal[what] + 1}"
    ]


def test_emails_that_nobody_asked_for_and_empty_answers_are_not_the_truth() -> None:
    truths = {part(1, "A"): Truth(sent={"lead-1"}).numbers()}
    equal: Numbers = {"sent": 1}
    assert differences(truths, {"events": {part(1, "A"): equal, part(1, "B"): equal}}) == [
        "step 1, B: sent is 0, events say 1"
    ]
    assert differences(truths, {"events": {}}) != []


def test_an_email_that_came_back_is_not_delivered_however_it_did() -> None:
    truth = Truth(sent=set("abcde"), taken=set("abc"), hard_bounced={"a", "d"}, soft_bounced={"b"}, blocked={"e"})
    assert (truth.numbers()["taken"], truth.numbers()["delivered"]) == (3, 1)
