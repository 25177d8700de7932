"""docs/accuracy.md says what the judge and the libraries beside it say today."""

from __future__ import annotations

import pytest

from agents.decisions.judge import Rules
from tests.corpus.accuracy import DOCUMENT, MOST_WRONG, document, lines_of, sendlens, wrong


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules.load()


def test_the_tables_are_todays(rules: Rules) -> None:
    assert DOCUMENT.read_text() == document(rules), "run `python -m tests.corpus.accuracy`"


@pytest.mark.parametrize("label", MOST_WRONG)
def test_no_label_has_more_wrong_than_it_says_at_most(rules: Rules, label: str) -> None:
    some = [line for line in lines_of("held_out.ndjson") if line["label"] == label]
    assert wrong(sendlens(rules), some) <= MOST_WRONG[label] * len(some)


def test_no_mail_proxy_that_opens_for_a_person_is_flagged(rules: Rules) -> None:
    some = [line for line in lines_of("named.ndjson") if line["label"] == "mail-proxy" and line["verdict"] == "human"]
    assert len(some) >= 8
    assert wrong(sendlens(rules), some) == 0


def test_a_person_flagged_and_a_robot_passed_both_count_as_wrong() -> None:
    some = [{"verdict": "bot"}, {"verdict": "human"}, {"verdict": "machine"}]
    assert wrong(lambda lines: [True, False, True], some) == 0
    assert wrong(lambda lines: [False, True, False], some) == 3
