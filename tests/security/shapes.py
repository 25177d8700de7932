"""Hostile texts of any size: a piece of a grammar over and over, so that what is never closed is never closed often.

A shape is `before`, `unit` as often as it takes, `after`. `{n}` in the unit is the number of the repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Ends that leave a reader who counted on the opposite with nothing: a bracket, a quote, a quote of the other kind.
_MARKUP_ENDS = ("", ">", "b='>", "-->", "</script>")


@dataclass(frozen=True, slots=True)
class Shape:
    """A text of about the size asked for."""

    unit: str
    before: str = ""
    after: str = ""

    @property
    def name(self) -> str:
        parts = (part if len(part) < 40 else f"{part[:37]}..." for part in (self.before, self.unit, self.after))
        return " | ".join(map(repr, parts))

    def of(self, size: int) -> str:
        left = max(0, size - len(self.before) - len(self.after))
        if "{n}" not in self.unit:
            return self.before + self.unit * (left // len(self.unit)) + self.after
        pieces: list[str] = []
        number = 0
        while left > 0:
            pieces.append(self.unit.replace("{n}", str(number)))
            left -= len(pieces[-1])
            number += 1
        return self.before + "".join(pieces) + self.after


@dataclass(frozen=True, slots=True)
class Built:
    """A text that no repetition gives."""

    name: str
    of: Callable[[int], str]


Text = Shape | Built

# What any reader may meet.
PLAIN: tuple[Text, ...] = tuple(
    map(
        Shape,
        ("a", " ", "\t", "\n", "\r", "\r\n", " \n", "\0", "\\", '"', "'", "<", ">", "&", "=", ":", ";", ",", ".", "@", "/"),
    )
) + tuple(
    map(
        Shape,
        ("-", "_", "*", "#", "|", "~", "(", ")", "()", "[", "{", "{{", "%", "%20", "?", "!", "+", "5", "é", "日", "\u200b"),
    )
) + tuple(map(Shape, ("\xa0", "\u2028", "\U0001f600", "a ", "a.", "a@", "a\n", "word ", "5.1.1 ", "\x1b$B", "--\n", "a-")))  # fmt: skip

MARKUP_UNITS = (
    *("<a ", "<a", "<a/", "<a\n", "<a href", '<a href="', "<a href='x' ", "<a b=c", "<a href=x>", "<a href=http://x/{n}>"),
    *("<p a=", "<p ==", "<p =", "<p ", '<p a="', "<p a='", '<p a="\'', "<p a='\"", '<p a="<b>', "<p\t\f", "<p a  ", "=\"'"),
    *("</", "</a", "</style", "</style ", "</script", "</sCrIpT ", "</title ", "</body", "</body ", "</body>", "</html>"),
    *("<!", "<?", "<!-", "<!--", "<!-->", "<!--->", "<!--x-->", "<!--[if mso]>", "<![endif]-->", "<!--[if mso]><a b=\"-->"),
    *("<!--{{unsubscribe_url}}-->", "{{unsubscribe_url}}", "{{ ", "{{ unsubscribe_url ", "%7b%7B%20", "https://{{"),
    *("<a href={{unsubscribe_url}}>", "<script", "<script>", "<script></script>", "<script></script", "<sCript>a</sCript >"),
    *("<style></style", "<textarea>", "<title></title>", "<plaintext>", "<xmp></xmp>", "<noscript>", "<v:", "<v:rect href=x>"),
    *("<area href='http://x/'>", "<v:a href=\"", "<<!--x-->a b=\"", "<br>", "<td>", "<blockquote>", "</blockquote>", "<hr>"),
    *("<div></div>", "<div class=gmail_quote>", "<div class=gmail_quot", "<a class=id=id=", "<b\"<b'", "<b \"<b '", "<i><b>"),
    *("&amp;", "&amp", "&copy", "&#", "&#1", "&#x", "&#x1;", "&aaaaaaaa", "&lt;a ", "&nbsp;", "&ZeroWidthSpace;", "-->", "--!>"),
    *("http://x ", "http://x)", "https://a.example/?q=1&b=", "cid:x ", "%3Ca ", "<3 ", "a<b ", "]]>", "<a>b</a> ", "<a>  "),
)  # fmt: skip
MARKUP: tuple[Text, ...] = (
    *map(Shape, MARKUP_UNITS),
    Shape("1", "&#"),
    Shape("f", "&#x"),
    Shape("a", "&"),
    Shape("a", '<a href="http://x/', '">y</a>'),
    Shape("é", '<a href="http://x/', '">y</a>'),
    Shape("é", '<a href="http://', '/">y</a>'),
    Shape(")", "http://x"),
    Shape(".)", "http://x"),
    Shape("{{unsubscribe_url}}", "<a "),
    Shape(" ", "<a", ">"),
    Shape("a ", "<a ", ">"),
    Shape("a=1 ", "<a ", "href=x>"),
    Shape("{n}=1 ", "<a ", 'href="x">'),
    Shape(" ", "<a href", "x>"),
    Built("blank lines, then quotes", lambda size: "<br>" * (size // 8) + "<div class=gmail_quote>" * (size // 46)),
    *(Shape(unit, "", end) for unit in ("<a ", "<a", '<p a="', "<p a='", "<!", "<script", "</a") for end in _MARKUP_ENDS),
    Shape('<p a="', "", "b='>" + "'"),
    Shape('<p a="<b>', "", "b='>"),
    Shape('<!--[if x]><a b="-->', "", "b='>"),
    Shape("<a <!--", "", "-->"),
)  # fmt: skip

ADDRESS_UNITS = (
    *("a@", "a@b.", "a@b.example ", "a@b.example, ", "<a@b.example>", "<a@b", '"a" <', '"\\', '"\\"', '"a"@b.example ', "a'"),
    *("(", "(a@b.example) ", "((((", "a.b.", ".a", "@a", "a b <", "=?utf-8?q?a?= ", "a@[1.", "<>", "< ", " <", "> ", "mailto:"),
    *("bounce+", "1@", "a@b.c@", "x:a@b ", "'a@b.example' ", "a{n}@b.example ", "{n}@a.b.c.d.example;", "- a@b: "),
)  # fmt: skip
ADDRESSES: tuple[Text, ...] = (
    *map(Shape, ADDRESS_UNITS),
    Shape(" ", "a", "@b.example"),
    Shape(" ", "", "<a@b.example>x"),
    Shape(" ", '"a" ', "x"),
    Shape('\\"', '"'),
    Shape("a.", "", "@b.example"),
    Shape("a.", "a@", "!"),
    Shape("a-", "a@", "!"),
    Shape("é", "a@", ".example"),
    Shape("a", "", "@b.example"),
    Shape("1@", "", "!"),
    Shape("a@b", " (", "!"),
    Shape("a", "a@b.example <", "!"),
)

URLS: tuple[Text, ...] = tuple(
    Shape(unit, before, after)
    for before in ("http://", "https://a.example/", "http://a.example?", "HTTP://u@", "https://[")
    for unit in ("a", "a.", "@", ":", "é", "%", "%C3", "/", "\\", "a@", "[", "]", "1", " ", "\t", "\u00ad", "xn--", "ß", "㍿")
    for after in ("", "é")
)  # fmt: skip

WORD_UNITS = (
    *("> ", ">", ">>", "> > a\n", "\n>", "On 1 May 2026 a wrote:\n", "On 2026 a@b.example ", "a 12:30 wrote ", "Am 1. schrieb\n"),
    *("From: a\n", "From: a\nTo: b\n", "-----Original Message-----\n", "-- \n", "----", "-- ", "- - ", "____", "Sent from my "),
    *("Le 1 mai 2026 à 10:00, a@b.example a écrit :\n", "a: ", "1: ", "2026-05-04 10:00 <a@b>:", "2026 @:\n", "é: ", "日本: "),
    *("<http://a.example>", "http://a.example ", "550 5.1.1 ", "550-5.1.1 ", "5.1.1 - a 550-'", "try again ", "try again in ", "(try"),
    *("RCPT TO:<a@b.example>\n", ">>> DATA\n", "<<< a\n", ">>> DATA\n<<< >>> DATA\n", "<<< >>> DATA\n", "SMTP command  ", "in the "),
    *("Final-Recipient: rfc822; a{n}@b.example\nAction: failed\nStatus: 5.1.1\n\n", "Status: 5.1.1\n", "Diagnostic-Code: smtp; 550 a\n"),
    *("Final-Recipient: rfc822; a@b.example\nDiagnostic-Code: smtp; 550 user <<<<a@b unknown\n\n", "Final-Recipient: a@b.example\n a\n"),
    *("Feedback-Type: abuse\n", "notificationType", '{"notificationType":', "{", '{"a":', "[[", "<a@b.example>:\n", "<a@b.example>: a\n"),
    *("a{n}@b.example: user unknown\n", "to: a{n}@b.example failed\n", "a@b.example failed a@b.example ", "original message ", "headers\n"),
    *("Received: from a by b\n", "X-A: b\n", "X-A-B-C-D-E-F-G: b\n", "Content-Type: text/plain\n", "/u/", "=?", "=?utf-8?b?", "bounce+a"),
    *("(Linux; Android", "(Linux; U; Android 1; ", "Mozilla/5.0 (", "bot", "bot/1.0 ", "a/1.0 ", "compatible; ", ";;;", "http://a.bot "),
    *("\n\n\n5", "\t\n", "\n \n", "a\r", "Reporting-MTA: dns; a\n", "while talking to a:\n", "... while talking", "550 a (b)... "),
)  # fmt: skip
WORDS: tuple[Text, ...] = (
    *map(Shape, WORD_UNITS),
    Shape(" ", "--", "x"),
    Shape("-", "", "x"),
    Shape("\n", "", "550  :  user unknown!"),
    Shape("x\n", "> a\n", ""),
    Shape(" ", "a:", "x"),
    Shape("1@", "a: ", "!"),
    Shape("=", "original message"),
    Shape("1", "try again in "),
    Shape(" ", "try again in"),
    Shape("a@b", " a ", " x"),
)


def _nested(size: int) -> str:
    """Multiparts in multiparts."""
    head = "Content-Type: multipart/mixed; boundary=b{}\n\n--b{}\n"
    return "".join(head.format(number, number) for number in range(size // 55))


def _enclosed(size: int) -> str:
    """Mails in mails."""
    return "Content-Type: message/rfc822\n\n" * (size // 30)


def _nested_and_closed(size: int) -> str:
    depth = size // 70
    heads = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(depth))
    return heads + "".join(f"\n--b{n}--\n" for n in reversed(range(depth)))


def _one_boundary(size: int) -> str:
    """Multiparts in multiparts, all with the same boundary."""
    head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
    return head * (size // len(head))


_MULTI = "Content-Type: multipart/{}; boundary=b\n\n"
_DSN = (
    _MULTI.format("report; report-type=delivery-status")
    + "--b\n\nIt failed.\n--b\nContent-Type: message/delivery-status\n\n"
)
_BOUNCE = "From: MAILER-DAEMON@b.example\nSubject: Undelivered Mail Returned to Sender\nReturn-Path: <>\n"
HEADS = (
    *("a: b\n", "a:b\n\n", "a\n", "a: b\n c\n", "To: a{n}@b.example\n", "From: a@b.example, \n ", "X-A{n}: b\n", "References: <a@b>\n"),
    *("Received: from a by b; Mon\n", "Subject: =?utf-8?q?a?=\n", "References: =?x-{n}?q?a?= =?y-{n}?b?aaaa?=\n", ": b\n", "a : b\n"),
    *("In-Reply-To: =?x-{n}?q?a?= =?y-{n}?b?aaaa?=\n", "Content-Type: text/plain;a=b\n", "Delivered-To: bounce+a@b.example\n", " \n", "\t"),
)  # fmt: skip
_VALUES = (
    *("a", " ", "=?", "=?=?", "=?a?q?", "=?utf-8?q?=C3?= ", "=?utf-8?b?w6k=?= ", "=?x-{n}?q?a?= ", "=?utf-8?q?a?=", "?=", "a@b.example, "),
    *("a{n}@b.example, ", "<a@b.example>", "<", "(", "((", "()", '"', "\\", '"\\"', ";", "; a=b", ';a="', ';a="\\', "; a*{n}*=b", ";a*0=b"),
    *(";boundary=a", "é", "\xa0", ",", "@", ".", "'", "bounce+aaaa", "aaaaaaaaaaaaaaaa.", "a@", "[", "re: ", "aw: re: ", "auto"),
)  # fmt: skip
_BODIES = (
    *("--b\n", "--b\n\na\n", "--b--\n", "--b \t", "\n--b", "--", "--b\nContent-Type: text/html\n\n<a \n", "--b\nContent-Type: a/b;", "--bb\n"),
    *("--b\nContent-Type: message/rfc822\n\nSubject: a\n\n", "--b\nContent-Type: text/plain; charset=x{n}\n\na\n", "--b\nX: " + "y" * 60),
)  # fmt: skip


def _encoded(unit: str, how: str) -> Text:
    return Shape(unit, f"Content-Type: text/plain\nContent-Transfer-Encoding: {how}\n\n")


MAIL: tuple[Text, ...] = (
    Built("nested multiparts", _nested),
    Built("nested multiparts, closed", _nested_and_closed),
    Built("nested multiparts of one boundary", _one_boundary),
    Built("enclosed mails", _enclosed),
    *map(Shape, HEADS),
    *(
        Shape(value, f"{name}: ")
        for name in ("Subject", "From", "To", "References", "Content-Type", "X-Failed-Recipients")
        for value in _VALUES
    ),
    *(Shape(f"{value}\n ", f"{name}: ") for name in ("Subject", "Content-Type") for value in _VALUES),
    *(Shape(unit, _MULTI.format("mixed")) for unit in _BODIES),
    Shape("\n--b", _MULTI.format("digest")),
    Shape("a", "Content-Type: multipart/mixed; boundary=", "\n\n--a\n"),
    *(_encoded(unit, "base64") for unit in ("=", "!", "QUJD", "a", "\n", "é")),
    *(_encoded(unit, "quoted-printable") for unit in ("=", "=\n", "=C3", "=3", " \n", "a", "=0D=0A")),
    *(
        Shape(unit, f"{head}Content-Type: text/html\n\n{start}")
        for head in ("", "From: a@b.example\nIn-Reply-To: <a@b>\n")
        for unit in MARKUP_UNITS
        for start in ("", "<p>a</p>")
    ),
    *(Shape(unit, "From: a@b.example\nIn-Reply-To: <a@b>\n\n") for unit in WORD_UNITS),
    *(Shape(unit, f"{_BOUNCE}\n") for unit in (*WORD_UNITS, *ADDRESS_UNITS)),
    *(Shape(unit, f"{_BOUNCE}{_DSN}") for unit in WORD_UNITS),
    Shape("a{n}@b.example ", "Return-Path: <>\nFrom: MAILER-DAEMON@b.example\nTo: " + "a@b.example, " * 500 + "\nSubject: undeliverable "),
    *(Shape(shape.unit, f"{_BOUNCE}\n{shape.before}", shape.after) for shape in WORDS if isinstance(shape, Shape)),
    *(
        Shape(unit, f"{_BOUNCE}{_DSN}Final-Recipient: rfc822; a@b.example\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 ")
        for unit in ("a ", "<", "<a", "a@", "a", "http://", " ", "5.1.1 ", "550-", "SMTP command ", "in the ")
    ),
)  # fmt: skip


def every(*several: Sequence[Text]) -> tuple[Text, ...]:
    """The shapes of several lists, each once."""
    return tuple(dict.fromkeys(shape for shapes in several for shape in shapes))
