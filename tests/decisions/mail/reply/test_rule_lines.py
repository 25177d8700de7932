"""A line drawn between two parts of an answer is the writer's; only the mark of RFC 3676, 4.3 begins a signature."""

from __future__ import annotations

import pytest

from decisions.mail.reply.visible import without_quotes

UNDERLINED = """Two questions about your plan.

Delivery
========
Can it come before the fair?

Price
-----
Is VAT in it?"""

FIGURES = """Room        Beds   Nights
-----------------------------
Garden      2      3
Sea view    1      3

Please book both."""

PARTED = """The short answer is yes.

***

The long answer needs your lawyer. He has the draft.

________________________________

Let me know by noon."""

QUOTED = "\n\nOn Tue, 3 Nov 2026 at 11:20, Some One <a@example.com> wrote:\n> Hello\n"


BOXED = """We need these:

~~~~~~~~~~~~~~
2 spades
1 barrow
~~~~~~~~~~~~~~"""


@pytest.mark.parametrize("quoted", ["", QUOTED], ids=["alone", "above-a-quote"])
@pytest.mark.parametrize("text", [UNDERLINED, FIGURES, PARTED, BOXED], ids=["headings", "table", "parts", "box"])
def test_what_stands_under_a_rule_is_the_answer_too(text: str, quoted: str) -> None:
    assert without_quotes(text + quoted) == text


@pytest.mark.parametrize("mark", ["-- ", "--"])
def test_two_dashes_alone_begin_a_signature(mark: str) -> None:
    assert without_quotes(f"{UNDERLINED}\n{mark}\nAda Example\n+1 555 0100{QUOTED}") == UNDERLINED


def test_a_dash_alone_begins_a_signature_where_a_few_lines_follow_and_no_answer() -> None:
    assert without_quotes("Yes.\n\n—\nAda Example\nExample Ltd") == "Yes."
    long = "Yes.\n—\n" + "\n".join(f"and reason number {number}" for number in range(9))
    assert without_quotes(long) == long


@pytest.mark.parametrize("rule", ["____________________", "-----", "=========="])
def test_a_rule_above_quoted_headers_belongs_to_them(rule: str) -> None:
    headers = "From: Some One <a@example.com>\nSent: Tuesday\nTo: B\nSubject: Re: x"
    assert without_quotes(f"{UNDERLINED}\n\n{rule}\n{headers}\n\nHello\n") == UNDERLINED


def test_a_rule_above_a_quote_and_one_at_the_end_are_dropped() -> None:
    assert without_quotes("Yes.\n-----\n> Hello\n") == "Yes."
    assert without_quotes("Yes.\n\n*****\n") == "Yes."


def test_the_footer_of_a_mailing_list_is_cut() -> None:
    footer = "_______________________________________________\nTalk mailing list\nTalk@lists.example\n"
    assert without_quotes(f"{PARTED}\n\n{footer}") == PARTED


def test_a_rule_above_two_lines_with_colons_is_a_heading_still() -> None:
    text = "Meeting\n-------\nDate: Monday\nTo: the office\n\nSee you there."
    assert without_quotes(text) == text
