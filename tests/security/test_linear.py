"""No text is slow to read: four times as much of it takes five times as long at the most, whatever it is made of.

By default texts have up to 32 kB, and 2 MB where HTML and mail come in; SENDLENS_LINEAR_SIZE=2000000 tries every shape
on every function with that much (an hour).
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import pkgutil
import time
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import decisions
from tests.security.readers import READERS, Read
from tests.security.shapes import ADDRESS_UNITS, HEADS, MARKUP, MARKUP_UNITS, PLAIN, WORD_UNITS, Shape, Text, every

LARGEST = 2_000_000
_USUAL = int(os.environ.get("SENDLENS_LINEAR_SIZE", "32000"))
_SIZES = (2_000, 8_000, 32_000, 128_000, 500_000, LARGEST)
# Seconds of processor. What takes less is measured by chance more than by size: a small text's are as many on a machine
# whose neighbours are busy. What grows by more than its share passes this floor with the next size.
_FLOOR = 0.06
_TIMES, _AT_MOST = 4, 5
_LOOKS = 8

# Where HTML and mail come in, and what the worst were made of.
_DOORS = (
    "decisions.sending.instrument.instrument",
    "decisions.sending.instrument.parts_of",
    "decisions.sending.plaintext.plaintext",
    "decisions.sending.rewrite.rewrite",
    "decisions.mail.html.html_text",
    "decisions.mail.read.read_mail",
)
_WORST = (
    *("<a ", "<a", "<p a=", "<p ==", "</style", "<!", "<?", "<v:", "<script", "<!--{{unsubscribe_url}}-->", "{{unsubscribe_url}}"),
    *('<p a="<b>', "<!--[if mso]><a b=\"-->", "<<!--x-->a b=\"", "&#1", "&aaaaaaaa", "<a href=http://x/{n}>", "<script></script"),
)  # fmt: skip
_WORST_SHAPES = (
    *map(Shape, _WORST),
    Shape('<p a="', "", "b='>"),
    Shape(")", "http://x"),
    Shape("é", '<a href="http://x/', '">'),
)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    """What the collector of garbage takes depends on what else there is."""
    gc.disable()
    yield
    gc.enable()


def seconds(read: Read, text: str) -> float:
    began = time.thread_time()
    read(text)
    return time.thread_time() - began


def slow(read: Read, shape: Text, largest: int) -> str:
    """Where a text of this shape takes more than its share, "" when it nowhere does.

    A neighbour on the machine can make a figure larger and never smaller, so where one is too large both are taken
    again and the smallest count. Two steps together may make up for each other: caches of the processor have sizes too.
    """
    taken: list[float] = []
    for number, size in enumerate(size for size in _SIZES if size <= largest):
        taken.append(seconds(read, shape.of(size)))
        for look in range(_LOOKS):
            if taken[-1] <= _AT_MOST * max(taken[-2] if number else _FLOOR, _FLOOR):
                break
            if number > 1 and taken[-1] <= _AT_MOST**2 * max(taken[-3], _FLOOR):
                break
            if look == _LOOKS - 1:
                return f"{shape.name}: {taken[-2] if number else 0:.3f} s, and {taken[-1]:.3f} s at {size} bytes"
            taken[-1] = min(taken[-1], seconds(read, shape.of(size)))
            if number:
                taken[-2] = min(taken[-2], seconds(read, shape.of(_SIZES[number - 1])))
    return ""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", READERS)
def test_four_times_the_text_takes_five_times_as_long_at_the_most(name: str) -> None:
    reader = READERS[name]
    assert not [found for shape in every(reader.shapes, PLAIN) if (found := slow(reader.read, shape, _USUAL))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", _DOORS)
def test_where_html_and_mail_come_in_it_holds_to_two_megabytes(name: str) -> None:
    read = READERS[name].read
    if name.endswith("read_mail"):
        mail = "From: a@b.example\nIn-Reply-To: <a@b>\nContent-Type: text/html\n\n<p>Hello</p>"
        reads = [lambda text: read(mail + text), lambda text: read(f"Subject: {text}")]
    else:
        reads = [read]
    assert not [found for each in reads for shape in _WORST_SHAPES if (found := slow(each, shape, LARGEST))]


UNITS = st.one_of(
    st.sampled_from([*MARKUP_UNITS, *WORD_UNITS, *ADDRESS_UNITS, *HEADS]).map(lambda unit: unit.replace("{n}", "1")),
    st.text(alphabet="<>\"'=/!-a &;:@.\n {}()[]\\1é", min_size=1, max_size=4),
)
SOME = st.lists(UNITS, max_size=3).map("".join)
SHAPES = st.builds(Shape, st.lists(UNITS, min_size=1, max_size=4).map("".join), SOME, SOME)


# The same examples at every run: what chance finds on some day belongs into the lists.
@settings(deadline=None, derandomize=True, max_examples=int(os.environ.get("SENDLENS_LAW_EXAMPLES", "60")))
@given(SHAPES)
def test_whatever_is_repeated_and_whatever_stands_around_it(shape: Shape) -> None:
    for name in _DOORS:
        assert not slow(READERS[name].read, shape, 32_000), name


# Public functions that are given nothing that a stranger wrote, or not more of it than a line of bounded length.
_NO_READERS = {
    "decisions.sending.answers": "values that were read before",
    "decisions.robots.co_occurrence": "times and ids",
    "decisions.sending.gate": "ids",
    "decisions.robots.rules": "times, ids and what Agents and Networks make of a line",
    "decisions.robots.judgement": "values",
    "decisions.sending.rate_limit": "numbers",
    "decisions.robots.listed": "files of our own",
    "decisions.robots.networks": "an address, which the socket library reads",
    "decisions.robots.ip": "an address, which the socket library reads",
    "decisions.patterns": "patterns of our own",
    "decisions.effects.pause": "numbers",
    "decisions.robots.relay": "the list that an operator named",
    "decisions.effects.returns": "a verdict, with texts of bounded length",
    "decisions.robots.rejudging": "times",
    "decisions.effects.suppress": "ids",
    "decisions.tables": "files of our own",
    "decisions.robots.timing": "times",
    "decisions.effects.webhook_messages": "numbers",
    "decisions.effects.chat_messages": "an event of ours, with texts of bounded length",
    "decisions.clients.naming": "MailClients, of an event's user agent",
    "decisions.robots.user_agents.agent": "words of our own",
    "decisions.robots.user_agents.crawler_patterns": "files of our own",
    "decisions.robots.user_agents.Matcher": "RE2, of what Agents gives it",
    "decisions.sending.own_system.instrumented": "parts_of",
    "decisions.sending.own_system.instrumenting": "settings",
    "decisions.sending.own_system.instrumented_at": "a number",
    "decisions.sending.own_system.terms_of": "settings",
    "decisions.sending.tracking.account_urls": "settings",
    "decisions.sending.tracking.tracking_url": "mailbox",
    "decisions.sending.own_system.withheld": "mailbox, and the gate",
    "decisions.sending.mime.alternative": "parts that were made",
    "decisions.sending.mime.image": "bytes that are only copied",
    "decisions.sending.mime.spelled": "a mailbox that was read before",
    "decisions.sending.mime.related": "parts that were made",
    "decisions.mail.automatic.bulk": "looks whether headers are there",
    "decisions.mail.automatic.by_program": "a header, for words of our own",
    "decisions.mail.bounce.recipients.refused": "puts together",
    "decisions.mail.bounce.codes.meaning": "a code, for codes of our own",
    "decisions.mail.bounce.codes.powermta_meaning": "a word, for words of our own",
    "decisions.mail.bounce.phrases.category_of": "files of our own",
    "decisions.mail.bounce.rules": "judge, which tries every rule",
    "decisions.mail.evidence": "tables of our own",
    "decisions.mail.kinds": "decide, which tries every rule",
    "decisions.providers.events.email_of": "ids, of an email that was proved",
    "decisions.providers.events.events_of_report": "a report that was read before",
    "decisions.providers.passing.passed_text": "a token of our own",
    "decisions.providers.passing.headers_for": "a text of our own",
    "decisions.providers.passing.api_fields_for": "a text of our own",
    "decisions.providers.report.moment": "a number",
}


def _public(module: ModuleType) -> Iterator[str]:
    for name, found in vars(module).items():
        is_ours = not name.startswith("_") and getattr(found, "__module__", "") == module.__name__
        if is_ours and (
            inspect.isfunction(found) or hasattr(found, "cache_info") or name in ("Agents", "Matcher", "MailClients")
        ):
            yield f"{module.__name__}.{name}"


def test_every_public_function_that_reads_is_tried() -> None:
    modules = [info.name for info in pkgutil.walk_packages(decisions.__path__, "decisions.")]
    missing = [
        name
        for module in modules
        if module not in _NO_READERS
        for name in _public(importlib.import_module(module))
        if name not in READERS and name not in _NO_READERS
    ]
    assert not missing, "put these into tests/security/readers.py, or say here why not"


def test_hostile_html_of_the_worst_kinds_is_listed() -> None:
    assert {shape.unit for shape in MARKUP if isinstance(shape, Shape)} >= set(_WORST[:8])
