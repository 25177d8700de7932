"""What templates and clients ask of tracking: links left alone, a way out that is seen, a pixel before Gmail's cut."""

from __future__ import annotations

import re
from typing import Any

import pytest

from decisions.sending.instrument import parts_of
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PIXEL, PUBLIC, UNSUBSCRIBE, WRAPPED, a_send, html_of, part
from tests.decisions.sending.test_instrument import LINKED, made, wrapped_urls


@pytest.mark.parametrize(
    "html",
    [
        '<a href="{{{unsubscribe_url}}}">x</a>',
        "<a href='{{{ unsubscribe_url }}}'>x</a>",
        '<a href="https://{{{unsubscribe_url}}}">x</a>',
        '<a href="%7B%7B%7Bunsubscribe_url%7D%7D%7D">x</a>',
    ],
)
def test_three_braces_are_a_place_for_the_unsubscribe_address(html: str) -> None:
    made = html_of(html)
    assert re.search(rf"""href=["']{UNSUBSCRIBE.pattern}["']""", made)
    assert "{" not in made
    assert "%7B" not in made
    assert len(UNSUBSCRIBE.findall(made)) == 1


@pytest.mark.parametrize(
    "unseen",
    [
        '<!--[if mso]><a href="{{unsubscribe_url}}">x</a><![endif]-->',
        "<!--[if (gte mso 9)|(IE)]><p>{{unsubscribe_url}}</p><![endif]-->",
        "<!-- {{unsubscribe_url}} -->",
        "<title>{{unsubscribe_url}}</title>",
        '<div style="display: none; max-height:0"><p><a href="{{unsubscribe_url}}">x</a></p></div>',
        '<a hidden href="{{unsubscribe_url}}">x</a>',
        '<div style="DISPLAY:NONE"><div></div><a href={{{unsubscribe_url}}}>x</a></div>',
    ],
)
def test_a_place_that_hardly_anybody_sees_does_not_stand_for_the_footer(unseen: str) -> None:
    made = html_of(f"<p>Hello</p>{unseen}<p>Bye</p>")
    assert len(UNSUBSCRIBE.findall(made)) == 2
    assert UNSUBSCRIBE.search(made.partition("<p>Bye</p>")[2])


@pytest.mark.parametrize(
    "seen",
    [
        '<!--[if !mso]><!--><a href="{{unsubscribe_url}}">x</a><!--<![endif]-->',
        '<div style="display:none">x</div><a href="{{unsubscribe_url}}">x</a>',
        '<div style="display:none"><br><div>x</div></div><p>{{unsubscribe_url}}</p>',
        '<p class="hidden" title="display:none">{{unsubscribe_url}}</p>',
    ],
)
def test_a_place_that_is_seen_does(seen: str) -> None:
    assert len(UNSUBSCRIBE.findall(html_of(f"<p>Hello</p>{seen}"))) == 1


@pytest.mark.parametrize(
    "tag",
    [
        '<a data-track="off" href="{}">',
        "<a href={} data-track=off>",
        "<a clicktracking=off href='{}'>",
        '<a href="{}" ClickTracking="OFF">',
        "<a ses:no-track href={}>",
        '<a data-pm-no-track href="{}">',
        '<a href="{}" mautic:disable-tracking="true">',
        '<area data-track="off" href="{}">',
    ],
)
def test_a_link_is_left_alone_when_its_tag_asks_for_that(tag: str) -> None:
    html = tag.format("https://example.com/reset?token=1") + "x</a>"
    mail = made(a_send(html=html + LINKED, text=""), wrap_text_links=True)
    assert [link.url for link in mail.links] == ["https://example.com/a"]
    assert html in part(mail.message, "html")
    assert WRAPPED.search(part(mail.message, "plain").partition("reset?token=1")[2]) or "area" in tag


@pytest.mark.parametrize(
    "tag",
    [
        '<a data-track="on" href="https://example.com/a">',
        '<a href="https://example.com/?clicktracking=off">',
        '<a title=" data-track=off " href="https://example.com/a">',
        '<a href="https://example.com/a" mautic:disable-tracking="false">',
    ],
)
def test_nothing_else_is_such_a_wish(tag: str) -> None:
    assert len(wrapped_urls(tag + "x</a>")) == 1


def test_the_links_of_an_email_without_html_are_wrapped_unasked() -> None:
    text = "See https://example.com/a"
    assert [link.url for link in made(a_send(html="", text=text)).links] == ["https://example.com/a"]
    assert made(a_send(html="<p>Hi</p>", text=text)).links == []
    assert made(a_send(html="", text=text), track_clicks=False).links == []


@pytest.mark.parametrize(
    ("html", "before"),
    [
        ("<html><head><title><body></title></head><body class='a>b'><p>Hi</p></body></html>", "<body class='a>b'>"),
        ("<!doctype html><html><head></head><p title='<body>'>Hi</p>", "</head>"),
        ("<!DOCTYPE html><!-- <body> --><p>Hi</p>", "<!DOCTYPE html>"),
        ("<p>Hi</p>", ""),
    ],
)
def test_a_pixel_may_stand_at_the_top(html: str, before: str) -> None:
    mail = part(made(a_send(html=html), pixel="top").message, "html")
    start, _, rest = html.partition(before) if before else ("", "", html)
    assert mail.startswith(start + before + "<img src=")
    assert rest.removesuffix("</body></html>") in mail
    assert len(PIXEL.findall(mail)) == 1


LONG = "<p>" + "word " * 25_000 + "</p>"


def clipped(html: str, **options: Any) -> tuple[int, list[str]]:
    """The byte where the pixel stands, and what is warned of."""
    parts = parts_of(a_send(html=html), KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, minted_at=NOW, **options)
    found = PIXEL.search(parts.html)
    return (len(parts.html[: found.start()].encode()) if found else -1), parts.warnings


def test_a_pixel_that_gmail_would_cut_off_stands_at_the_top() -> None:
    place, warnings = clipped(f"<html><body>{LONG}</body></html>")
    assert place < 200
    assert warnings == ["unsubscribe-clipped"]
    place, warnings = clipped(f'<html><body><a href="{{{{unsubscribe_url}}}}">x</a>{LONG}</body></html>')
    assert (place < 1000, warnings) == (True, [])


def test_what_gmail_cuts_off_is_warned_of() -> None:
    assert clipped(LONG, pixel="bottom")[1] == ["pixel-clipped", "unsubscribe-clipped"]
    assert clipped(LONG, track_opens=False)[1] == ["unsubscribe-clipped"]
    assert clipped("<p>" + "ü" * 51_300, pixel="bottom")[1] == ["pixel-clipped", "unsubscribe-clipped"]
    assert clipped("<p>" + "ü" * 50_500, pixel="bottom")[1] == []
    hidden = '<!--[if mso]><a href="{{unsubscribe_url}}">x</a><![endif]-->'
    assert clipped(hidden + LONG)[1] == ["unsubscribe-clipped"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://😀.example/a", "xn--e28h.example"),
        ("HTTP://i❤.example/a", "xn--i-7iq.example"),
        ("https://www.🍕🍕.example:8443/a", "www.xn--vi8ha.example:8443"),
    ],
)
def test_a_host_of_emoji_is_spelled_as_browsers_do(url: str, host: str) -> None:
    assert wrapped_urls(f'<a href="{url}">x</a>') == [f"{url.partition(':')[0]}://{host}/a"]
