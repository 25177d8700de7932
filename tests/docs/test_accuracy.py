"""docs/accuracy.md says what the judge and the libraries beside it say today."""

from __future__ import annotations

import pytest

from decisions.mail.reply.visible import without_quotes
from decisions.robots.rules import Rules
from tests.corpus import field_accuracy, mail_accuracy
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


def test_without_the_corpora_the_sections_on_mail_and_the_field_stay_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_accuracy, "SHARED", SHARED / "nowhere")
    monkeypatch.setattr(field_accuracy, "MAILS", SHARED / "nowhere")
    written = DOCUMENT.read_text()
    mail, field = mail_accuracy.section(written), field_accuracy.section(written)
    assert mail.startswith(mail_accuracy.HEADING)
    assert field.startswith(field_accuracy.HEADING)
    assert written.endswith(f"{mail}\n{field}")


field_cases = pytest.mark.skipif(not field_accuracy.MAILS.exists(), reason=NO_CORPORA)


@field_cases
def test_the_mails_from_the_field_are_read_as_their_labels_say() -> None:
    counts = field_accuracy.mails()
    wrong_ones = {family: count for family, count in counts.items() if count[0] < count[1]}
    assert sum(right for right, _ in counts.values()) >= 86, wrong_ones


@pytest.mark.long
@pytest.mark.timeout(900)
@field_cases
def test_the_requests_from_the_field_are_answered_as_the_page_says() -> None:
    written = DOCUMENT.read_text()
    assert field_accuracy.written_hits(field_accuracy.section(written, field_accuracy.hits)) == (
        field_accuracy.written_hits(written)
    )
