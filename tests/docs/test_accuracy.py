"""docs/accuracy.md says what the judge and the libraries beside it say today."""

from __future__ import annotations

import pytest

from agents.decisions.judge import Rules
from agents.decisions.mail.visible import without_quotes
from tests.corpus import mail_accuracy
from tests.corpus.accuracy import DOCUMENT, MOST_WRONG, document, lines_of, sendlens, wrong
from tests.corpus.mails import NO_CORPORA, SHARED, bounces


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


corpora = pytest.mark.skipif(not SHARED.exists(), reason=NO_CORPORA)


@corpora
def test_the_recipients_of_bounces_are_found_and_the_dead_told_from_the_others() -> None:
    counted = mail_accuracy.hardness(mail_accuracy.sendlens, bounces())
    assert counted.found >= mail_accuracy.LEAST_FOUND * counted.of
    assert counted.precision >= mail_accuracy.LEAST_PRECISION
    assert counted.recall >= mail_accuracy.LEAST_RECALL


@corpora
@pytest.mark.parametrize("label", mail_accuracy.KINDS)
def test_mail_is_read_as_what_its_label_says(label: str) -> None:
    kind, least = mail_accuracy.KINDS[label]
    some = [read == kind for each, read in mail_accuracy.kinds() if each == label]
    assert sum(some) >= least * len(some)


@corpora
def test_what_is_visible_of_a_reply_is_what_its_writer_wrote() -> None:
    right, of = mail_accuracy.exact(without_quotes)
    assert right >= mail_accuracy.LEAST_TEXT * of


def test_without_the_corpora_the_section_on_mail_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_accuracy, "SHARED", SHARED / "nowhere")
    written = DOCUMENT.read_text()
    section = mail_accuracy.section(written)
    assert section.startswith(mail_accuracy.HEADING)
    assert written.endswith(section)
