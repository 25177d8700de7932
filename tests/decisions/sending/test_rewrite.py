"""The laws of rewriting HTML by source offset: nothing else changes, and what a browser takes for a link is one."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from decisions.sending.plaintext import plaintext
from decisions.sending.rewrite import decode_attribute, rewrite, scan

MARK, TAIL = "\ue000", "\ue001"  # private use: in no generated text

TOKENS = [
    *(
        "<a",
        "<A ",
        "<area ",
        "<abbr ",
        "</a>",
        "<p ",
        "</p >",
        ">",
        "/>",
        "/",
        "=",
        '"',
        "'",
        " ",
        "\n",
        "\t",
        "ü",
        "x",
    ),
    *(
        " href=",
        " HREF = ",
        ' title="',
        "http://x",
        "https://example.com/a?b=1&amp;c",
        "&copy",
        "&#58;",
        "&lt;",
        "&copyq",
    ),
    *('<a href="https://example.com/q">', "<a href='https://example.com/s'>", "<a href=https://example.com/n>"),
    *("<!--", "-->", "--!>", "<!-->", "<!doctype html>", "<!", "<?", "</", "</3", "<", "]]>"),
    *("<script>", "</script>", "</script", "<style>", "</style>", "<title>", "</title>", "<textarea>", "</textarea>"),
]
OUTLOOK = ["<body>", "</body>", "</html>", "[if mso]>", "<!--[if mso]>", "<v:rect ", "<plaintext>"]
MARKUP = st.lists(st.one_of(st.sampled_from(TOKENS), st.text(max_size=4)), max_size=30).map("".join)
ANY = st.one_of(MARKUP, st.lists(st.sampled_from([*TOKENS, *OUTLOOK]), max_size=30).map("".join), st.text())


@given(ANY)
@example('<a href="https://example.com/a?b=1&amp;c">x</a><a href=>y</a></body>')
@example("<!--[if mso]><v:rect href='https://example.com/'><![endif]--><a href= \nhttps://example.com/b >x")
def test_taking_out_what_was_added_gives_back_every_character(html: str) -> None:
    assume(MARK not in html and TAIL not in html)
    seen: list[str] = []

    def wrap(url: str) -> str:
        seen.append(url)
        return MARK

    made = rewrite(html, scan(html), wrap, "", TAIL)
    assert made.count(TAIL) == 1
    # Between the marks stands the source, in order; what stood in a mark's place says, decoded, what was wrapped.
    source = r"([^>]*?)".join(map(re.escape, made.replace(TAIL, "").split(MARK)))
    found = re.fullmatch(source, html, re.DOTALL)
    assert found is not None
    assert len(found.groups()) == len(seen)


@given(MARKUP)
@example("<a href=https://example.com/a/>x</a>")
@example('<a title=">" href="https://example.com/&copy=1">x')
@example("<script><!--<a href='https://example.com/no'></script><a href='https://example.com/yes'>")
def test_a_browsers_parser_finds_the_same_links(html: str) -> None:
    """Lexbor implements the whole HTML standard; sets, because building the tree may repeat an <a>."""
    assume("\x00" not in html and "\r" not in html)  # which parsers replace before they read
    body = f"<!doctype html><body>{html}"
    theirs = {
        (node.attributes["href"] or "").strip("".join(map(chr, range(33)))).translate(str.maketrans("", "", "\t\r\n"))
        for node in LexborHTMLParser(body).css("a[href], area[href]")
    }
    assert {href.url for href in scan(body).hrefs} == theirs


@given(ANY)
def test_the_tail_is_never_inside_a_tag_a_comment_or_a_script(html: str) -> None:
    assume("\x00" not in html)
    made = rewrite(html, scan(html), lambda _: None, "", "<b id=tail-of-ours></b>")
    assert LexborHTMLParser(f"<!doctype html><body>{made}").css("b#tail-of-ours")


@given(ANY, ANY, ANY, ANY)
@example('<a href="/1">a</a><p title="', '<a href="/2">b</a>', '<a href="/3">c</a>', "</p>")
@example("<A ", ">", "", "")
@example("<!--", "-->", "<title>", '<a href="/">x</a></title><a href="/2">y')
@example("Hello ", "Ann", "Bob", '!<a href="https://example.com/">See</a></body><a href="https://example.com/2">2</a>')
def test_what_is_remembered_of_another_email_changes_nothing(start: str, one: str, other: str, rest: str) -> None:
    """Two emails of a template: the second is read with the first at hand as it is read alone, text and all."""
    first = scan(f"{start}{one}{rest}")
    plaintext(first)
    for html in (f"{start}{other}{rest}", f"{start}{one}{other}{rest}", f"{start}{rest}", start):
        alone, beside = scan(html), scan(html, first)
        assert (beside.hrefs, beside.hidden, beside.tags, beside.tail) == (
            alone.hrefs,
            alone.hidden,
            alone.tags,
            alone.tail,
        )
        assert plaintext(beside) == plaintext(alone)


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("?a&amp;b", "?a&b"),
        ("?a&amp;b&copy=1", "?a&b&copy=1"),  # no decoding before "=" (13.2.5.73)
        ("?a&copy;b", "?a©b"),
        ("?a&copy", "?a©"),
        ("?a&copyright", "?a&copyright"),
        ("&#x41;&#66&#67;", "ABC"),
        ("&nosuch;&;&", "&nosuch;&;&"),
    ],
)
def test_references_in_an_attribute_are_decoded_as_the_standard_says(raw: str, decoded: str) -> None:
    assert decode_attribute(raw) == decoded


EVIL = [
    *(
        "<a ",
        "<a href",
        '<a href="',
        "<a href='x' ",
        "<a b=c",
        "<p =",
        "</",
        "=\"'",
        "<a/",
        "<a href=x>",
        "<a\n",
        "&copy",
    ),
    *("<!--", "<!-->", "<!--[if mso]>", "<script>", "<title></title>"),
]


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_repetition_takes_linear_time(evil: str) -> None:
    """Four times the input may take about four times as long; a quadratic scan takes sixteen times."""

    def seconds(repeated: str) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            rewrite(repeated, scan(repeated), lambda _: None, "", "")
            times.append(time.process_time() - began)
        return min(times)

    small, large = seconds(evil * 10_000), seconds(evil * 40_000)
    assert large < max(small, 0.002) * 10
