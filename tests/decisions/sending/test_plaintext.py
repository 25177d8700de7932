"""The text part that is made of HTML: what a reader of the HTML would read, and nothing else."""

from __future__ import annotations

import pytest

from decisions.sending.plaintext import plaintext
from decisions.sending.rewrite import scan


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # What only Outlook reads is written twice.
        ("<!--[if mso]><p>For Outlook</p><![endif]--><p>Hi</p>", "Hi"),
        ("<!--[if (gte mso 9)|(IE)]><table><tr><td width=600><![endif]--><p>Hi</p><!--[if mso]></table><![endif]-->", "Hi"),
        ("<head><!--[if mso]><xml><o:PixelsPerInch>120</o:PixelsPerInch></xml><![endif]--></head>Hi", "Hi"),
        ('<!--[if mso]><v:rect href="https://example.com/"><p>Buy</p></v:rect><a href="https://example.com/">Buy</a>'
         '<![endif]--><a href="https://example.com/">Buy</a>', "Buy (https://example.com/)"),
        ("<p>A<!-- [if mso]>B<![endif] --></p>", "A"),
        # What all others read is shown.
        ("<!--[if !mso]><!--><p>Hi</p><!--<![endif]-->", "Hi"),
        ("<!--[if !mso]>--><p>Hi</p><!--<![endif]-->", "Hi"),
        ("<![if !mso]><p>Hi</p><![endif]>", "Hi"),
        # Comments, however they end, and what only looks like the end of one.
        ("a<!-- b --!>c", "ac"),
        ("a<!-->b", "ab"),
        ("<p>1 --> 2</p>", "1 --> 2"),
        # Markup that is not closed shows nothing in a mail client either.
        ('<p>Hi</p><a href="https://example.com/', "Hi"),
        ("<p>Hi</p><!-- to be done", "Hi"),
        ("<p>Hi</p><style>p{", "Hi"),
        # An end tag in an attribute ends nothing.
        ('<a href="https://example.com/"><b title="</a>">Buy</b> now</a>!', "Buy now (https://example.com/)!"),
        ('<p title="1 > 0">Hi</p>', "Hi"),
        ("<p>1 < 2 <3</p>", "1 < 2 <3"),
    ],
)  # fmt: skip
def test_no_comment_and_no_markup_gets_into_the_text(html: str, text: str) -> None:
    assert plaintext(scan(html)) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://example.com/s"><img src=a alt="Spring sale"></a>', "Spring sale (https://example.com/s)"),
        ("<a href='https://example.com/s'><IMG ALT='Ann &amp; Co' SRC=a></a>", "Ann & Co (https://example.com/s)"),
        ('<a href="https://example.com/s"><img src=a> Sale</a>', "Sale (https://example.com/s)"),
        ('<a href="https://example.com/s"><img src=a alt=""></a>', "https://example.com/s"),
        ('<a href="https://example.com/s"><table><tr><td><img alt=Go></td></tr></table></a>', "Go (https://example.com/s)"),
        ("<a name=top></a><p>Hi</p>", "Hi"),
        ('<img src="logo.png" alt="Logo"><p>Hi</p>', "Hi"),
    ],
)  # fmt: skip
def test_a_link_that_is_an_image_keeps_its_words_and_its_address(html: str, text: str) -> None:
    assert plaintext(scan(html)) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<table><tr><th>Price</th><th>Qty</th></tr><tr><td>10</td><td>2</td></tr></table>", "Price Qty\n10 2"),
        ("<TR><TD>a<TD>b<TR><TD>c", "a b\nc"),
        ("<table><tr><td><b>1</b></td><td></td><td>2</td></tr></table>", "1 2"),
    ],
)
def test_the_cells_of_a_row_are_told_apart(html: str, text: str) -> None:
    assert plaintext(scan(html)) == text


def test_an_address_stands_on_the_line_of_its_words() -> None:
    assert (
        plaintext(scan('<a href="HTTPS://example.com/"><p>Buy</p></a><p>Bye</p>')) == "Buy (HTTPS://example.com/)\nBye"
    )
