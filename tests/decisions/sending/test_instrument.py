"""What is put into an email, and what is left as it was."""

from __future__ import annotations

import re
from typing import Any

import pytest

from decisions.sending.instrument import Instrumented, instrument
from schemas.errors import Reject
from schemas.events import Send
from schemas.tokens import MAX_LISTS, Keyring, Purpose
from tests.agents.mails import (
    ENVELOPE,
    KEYRING,
    NOW,
    PIXEL,
    PUBLIC,
    UNSUBSCRIBE,
    WRAPPED,
    a_send,
    html_of,
    instrumented,
    parsed,
    part,
)


def wrapped_urls(html: str) -> list[str]:
    """Where the wrapped links of this HTML lead, in the mail's order."""
    mail = instrumented(a_send(html=html))
    by_id = {link.link_id: link.url for link in mail.links}
    return [by_id[link_id] for _, link_id in WRAPPED.findall(part(mail.message, "html"))]


def test_the_pixel_and_the_footer_stand_before_the_end_of_the_body() -> None:
    html = html_of("<html><body><p>Hello</p></body></html>")
    assert html.startswith("<html><body><p>Hello</p><p ")
    assert html.endswith('"></body></html>')
    assert len(PIXEL.findall(html)) == 1


def test_html_without_a_body_gets_both_at_its_end() -> None:
    html = html_of("<p>Hello</p>")
    assert html.startswith("<p>Hello</p><p ")
    assert len(PIXEL.findall(html)) == len(UNSUBSCRIBE.findall(html)) == 1


def test_html_with_an_end_but_no_body_gets_both_before_the_end() -> None:
    assert html_of("<html><p>Hello</html>").endswith('"></html>')


@pytest.mark.parametrize(
    "unclosed",
    [
        "<!-- a comment",
        "<style>p{",
        "<script>var a",
        '<a href="https://example.com',
        "<p class='",
        "<textarea>",
        "</p x",
    ],
)
def test_what_is_left_open_at_the_end_does_not_swallow_the_pixel(unclosed: str) -> None:
    html = html_of("<p>Hello</p>" + unclosed)
    assert html.endswith('">' + unclosed)


def test_an_end_of_body_in_a_comment_or_script_is_not_the_end_of_the_body() -> None:
    html = html_of("<body><!-- </body> --><p>Hi</p></body><script>'</body>'</script>")
    assert html.endswith("\"></body><script>'</body>'</script>")


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<a href="https://example.com/a">x</a>', "https://example.com/a"),
        ("<a href='https://example.com/a'>x</a>", "https://example.com/a"),
        ("<a href=https://example.com/a>x</a>", "https://example.com/a"),
        ("<a/href=https://example.com/a/>x</a>", "https://example.com/a/"),
        ('<A CLASS=x HREF = "HTTPS://EXAMPLE.com/a">x</A>', "HTTPS://EXAMPLE.com/a"),
        ('<a\n\thref\n=\n"https://example.com/a"\n>x</a>', "https://example.com/a"),
        ('<a href=" https://exam\nple.com/a\t">x</a>', "https://example.com/a"),
        ('<area shape="rect" href="https://example.com/a">', "https://example.com/a"),
        ('<a href="https://example.com/?a=1&amp;b=2">x</a>', "https://example.com/?a=1&b=2"),
        ('<a href="https://example.com/?a=1&b=2&copy=3&lt=4">x</a>', "https://example.com/?a=1&b=2&copy=3&lt=4"),
        ('<a href="https&#58;//example.com/&#x61;">x</a>', "https://example.com/a"),
        ('<a title="a > b" href="https://example.com/a">x</a>', "https://example.com/a"),
        ("<a title='say \"href=https://example.net/\"' href='https://example.com/a'>x</a>", "https://example.com/a"),
        ('<a href="https://example.com/a" href="https://example.net/b">x</a>', "https://example.com/a"),
        ('<p title="<a href=\'https://example.net/b\'>"><a href="https://example.com/a">', "https://example.com/a"),
        ('<div <a href="https://example.net/b"><a href="https://example.com/a">', "https://example.com/a"),
        ("a < b <3 <a href=https://example.com/a>", "https://example.com/a"),
        (
            '<a href="https://bücher.example/straße?q=ä ö#ü">',
            "https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%A4%20%C3%B6#%C3%BC",
        ),
        ('<a href="https://faß.example/">', "https://xn--fa-hia.example/"),
        ('<a href="https://example.com:8443/a?b={{name}}">', "https://example.com:8443/a?b={{name}}"),
        ('<noscript><a href="https://example.com/a">x</a></noscript>', "https://example.com/a"),
        ('<svg><a href="https://example.com/a"/></svg>', "https://example.com/a"),
    ],
)
def test_a_link_is_wrapped_however_it_is_written(html: str, url: str) -> None:
    assert wrapped_urls(html) == [url]


def test_what_outlook_shows_is_wrapped_too() -> None:
    html = (
        '<!--[if mso]><v:roundrect href="https://example.com/button"><center>Go</center></v:roundrect><![endif]-->'
        '<!--[if !mso]><!--><a href="https://example.com/a">Go</a><!--<![endif]-->'
    )
    assert wrapped_urls(html) == ["https://example.com/button", "https://example.com/a"]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:ada@example.com?subject=https://example.com/">x</a>',
        '<a href="tel:+15550100">x</a>',
        '<a href="#part-2">x</a>',
        '<a href="../prices.html">x</a>',
        '<a href="//example.com/a">x</a>',
        '<base href="https://example.com/"><a href="prices">x</a>',
        '<a href="javascript:void(0)">x</a>',
        '<a href="data:text/html,https://example.com">x</a>',
        '<a href="">x</a><a href>x</a><a name="here">x</a>',
        '<a href="https://">x</a><a href="https:///a">x</a><a href="https://[oops/">x</a>',
        f'<a href="https://example.com/{"a" * 9000}">x</a>',
        f'<a href="{PUBLIC}/c/token/id">x</a><a href="{PUBLIC}/u/token">x</a><a href="{PUBLIC}/o/token.gif">x</a>',
        '<!-- <a href="https://example.com/">x</a> -->',
        "<script>'<a href=\"https://example.com/\">'</script>",
        '<style>/* <a href="https://example.com/"> */</style>',
        '<title><a href="https://example.com/"></title>',
        '<textarea><a href="https://example.com/"></textarea>',
        '<link href="https://example.com/a.css"><abbr href="https://example.com/">x</abbr>',
        '<img src="https://example.com/a.png"><form action="https://example.com/">',
        "<p data-x=\"<a href='https://example.com/'>\">x</p>",
    ],
)
def test_everything_else_is_left_alone(html: str) -> None:
    mail = instrumented(a_send(html=html))
    assert part(mail.message, "html").startswith(html)
    assert mail.links == []


def test_a_link_that_stands_twice_is_announced_once() -> None:
    html = '<a href="https://example.com/?a&amp;b">1</a><a href="https://example.com/?a&b">2</a>'
    mail = instrumented(a_send(html=html))
    assert [link.url for link in mail.links] == ["https://example.com/?a&b"]
    assert mail.links[0].link_id == KEYRING.link_id("spring", "https://example.com/?a&b")


def test_each_token_serves_its_own_purpose_and_names_the_email() -> None:
    send = a_send(html='<a href="https://example.com/">x</a>')
    html = part(instrumented(send).message, "html")
    for pattern, purpose in ((PIXEL, Purpose.OPEN), (WRAPPED, Purpose.CLICK), (UNSUBSCRIBE, Purpose.UNSUBSCRIBE)):
        found = pattern.search(html)
        assert found is not None
        claim = KEYRING.verify(purpose, found[1])
        assert (str(claim.delivery_id), claim.campaign, claim.step, claim.variant, claim.lead) == (
            send.delivery_id,
            "spring",
            1,
            "A",
            "lead-1",
        )


@pytest.mark.parametrize("placeholder", ["{{unsubscribe_url}}", "{{ unsubscribe_url }}", "https://{{unsubscribe_url}}"])
def test_the_platforms_own_unsubscribe_link_is_filled_and_no_footer_added(placeholder: str) -> None:
    html = html_of(f'<p>Bye? <a href="{placeholder}">Leave</a></p>')
    assert re.fullmatch(rf'<p>Bye\? <a href="{UNSUBSCRIBE.pattern}">Leave</a></p><img [^>]*>', html)


def test_a_percent_encoded_placeholder_is_filled() -> None:
    assert UNSUBSCRIBE.search(html_of('<a href="%7B%7Bunsubscribe_url%7D%7D">Leave</a>').split(">")[0])


@pytest.mark.parametrize(
    "html",
    ["<!-- {{unsubscribe_url}} -->Hi", '<p class="{{unsubscribe_url}}">Hi', "<title>{{unsubscribe_url}}</title>Hi"],
)
def test_a_placeholder_nobody_sees_does_not_replace_the_footer(html: str) -> None:
    assert ">Unsubscribe</a>" in html_of(html)


def test_a_send_without_text_gets_a_text_part_made_of_the_html() -> None:
    html = (
        "<html><head><title>t</title><style>p{}</style></head><body><h1>Hello &amp; welcome</h1><!-- no -->"
        '<p>See <a href="https://example.com/?a=1&amp;b=2">our <b>prices</b></a>.<br>Or not.</p>'
        '<p><a href="https://example.com/">https://example.com/</a></p><ul><li>one<li>two</ul></body></html>'
    )
    text = part(instrumented(a_send(html=html)).message, "plain")
    assert text.startswith(
        "Hello & welcome\nSee our prices (https://example.com/?a=1&b=2).\nOr not.\nhttps://example.com/\none\ntwo\n\nUnsub"
    )


def test_links_of_the_text_part_are_not_wrapped_and_it_says_how_to_leave() -> None:
    mail = instrumented(a_send(html="<p>Hi", text="See https://example.com/a"))
    text = part(mail.message, "plain")
    assert text.startswith("See https://example.com/a\n\nUnsubscribe: " + PUBLIC)
    assert mail.links == []


def test_a_send_of_text_alone_has_one_part_and_no_pixel() -> None:
    mail = instrumented(a_send(html="", text="Bye: {{unsubscribe_url}}"))
    assert b"multipart" not in mail.message
    assert b"/o/" not in mail.message
    assert re.fullmatch(rf"Bye: {UNSUBSCRIBE.pattern}\n?", part(mail.message, "plain"))


def test_a_send_without_content_is_rejected() -> None:
    with pytest.raises(Reject, match="no-content"):
        instrumented(a_send(html="", text=""))


def test_the_same_send_at_the_same_moment_is_the_same_mail() -> None:
    send = a_send(html='<a href="https://example.com/">x</a>')
    assert instrumented(send) == instrumented(send)


def test_a_honeypot_is_a_link_that_no_person_sees_and_nobody_can_tell_from_others() -> None:
    plain, trapped = (
        instrument(
            a_send(html='<body><a href="https://a.example/">read</a></body>'),
            KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW, honeypot=honeypot,
        )
        for honeypot in (False, True)
    )  # fmt: skip
    html, text = part(trapped.message, "html"), part(trapped.message, "plain")
    (trap,) = [link for link in trapped.links if link not in plain.links]
    assert trap.link_id in KEYRING.honeypots("spring")
    ids = [link_id for _, link_id in WRAPPED.findall(html)]
    assert sorted(ids) == sorted(link.link_id for link in trapped.links)
    (hidden,) = re.findall(rf"<a [^>]*{trap.link_id}[^>]*></a>", html)
    assert "display:none" in hidden
    assert 'aria-hidden="true"' in hidden
    assert not WRAPPED.search(text)
    assert trap.url == f"{PUBLIC}/hidden"


def test_a_honeypot_of_a_campaign_is_known_after_keys_were_rotated() -> None:
    rotated = Keyring.parse("8:a-new-kettle-and-an-old-one,7:an-old-kettle-and-a-new-one")
    assert KEYRING.honeypots("spring")[0] in rotated.honeypots("spring")
    assert rotated.honeypots("spring")[0] not in KEYRING.honeypots("spring")
    assert not set(KEYRING.honeypots("autumn")) & set(KEYRING.honeypots("spring"))


def made(send: Send, **options: Any) -> Instrumented:
    return instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW, **options)


LINKED = '<p><a href="https://example.com/a">a</a></p>'


def test_without_opens_there_is_no_pixel_and_links_are_wrapped_all_the_same() -> None:
    mail = made(a_send(html=LINKED), track_opens=False)
    html = part(mail.message, "html")
    assert PIXEL.search(html) is None
    assert "<img" not in html
    assert WRAPPED.search(html) is not None


def test_without_clicks_no_link_is_touched_and_unsubscribing_still_works() -> None:
    mail = made(a_send(html=LINKED), track_clicks=False, honeypot=True, wrap_text_links=True)
    html = part(mail.message, "html")
    assert mail.links == []
    assert WRAPPED.search(html) is None
    assert 'href="https://example.com/a"' in html
    assert PIXEL.search(html) is not None
    assert UNSUBSCRIBE.search(html) is not None
    assert parsed(mail.message)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_link_offers_the_emails_lists_and_the_mail_leaves_them_all() -> None:
    lists = [f"{n} {'ü' * 31}" for n in range(MAX_LISTS)]
    mail = made(a_send(html=LINKED, lists=lists, campaign="c" * 64, lead="l" * 64, variant="v" * 64))
    header = parsed(mail.message)["List-Unsubscribe"]
    url, by_mail = re.findall(r"<([^>]+)>", header)
    assert KEYRING.verify(Purpose.UNSUBSCRIBE, url.rpartition("/")[2]).lists == tuple(lists)
    assert KEYRING.verify(Purpose.UNSUBSCRIBE, by_mail.rpartition("=")[2]).lists == ()
    assert max(map(len, mail.message.split(b"\r\n"))) <= 998
    found = UNSUBSCRIBE.search(part(mail.message, "html"))
    assert found is not None
    assert KEYRING.verify(Purpose.UNSUBSCRIBE, found[1]).lists == tuple(lists)


def test_without_both_the_html_gets_the_footer_and_nothing_else() -> None:
    html = part(made(a_send(html=LINKED), track_opens=False, track_clicks=False).message, "html")
    assert html.startswith(LINKED)
    assert html.count("<a ") == 2


@pytest.mark.parametrize(
    ("text", "url", "after"),
    [
        ("See https://example.com/a.", "https://example.com/a", "."),
        ("See (https://example.com/a).", "https://example.com/a", ")."),
        ("See https://example.com/a_(b)!", "https://example.com/a_(b)", "!"),
        ("<https://example.com/a?b=1&c=2>", "https://example.com/a?b=1&c=2", ">"),
        ("HTTPS://EXAMPLE.com/a, and", "HTTPS://EXAMPLE.com/a", ", and"),
    ],
)
def test_links_of_the_text_part_are_wrapped_when_asked(text: str, url: str, after: str) -> None:
    mail = made(a_send(html="", text=text), wrap_text_links=True)
    assert [link.url.lower() for link in mail.links] == [url.lower()]
    (wrapped,) = WRAPPED.finditer(part(mail.message, "plain"))
    assert wrapped[2] == mail.links[0].link_id
    assert part(mail.message, "plain")[wrapped.end() :].startswith(after)


def test_a_link_in_both_parts_is_one_link_and_the_way_to_leave_is_none() -> None:
    mail = made(a_send(html=LINKED, text="https://example.com/a {{ unsubscribe_url }}"), wrap_text_links=True)
    assert [link.url for link in mail.links] == ["https://example.com/a"]
    plain = part(mail.message, "plain")
    assert UNSUBSCRIBE.search(plain) is not None
    assert len(WRAPPED.findall(plain)) == 1


def test_nothing_visible_comes_before_the_preheader() -> None:
    html = '<html><body><div style="display:none">Only today</div><p>Hello</p></body></html>'
    assert html_of(html).startswith(html.removesuffix("</body></html>"))


@pytest.mark.parametrize(
    "html",
    [
        '<img src="cid:logo"><a href="cid:part">x</a>',
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><a href="data:text/html,hi">x</a>',
        '<table background="https://example.com/b.png"><td style="background:url(https://example.com/c.png)">',
        "<a href='javascript:void(0)'><a href=#top><a href=mailto:a@example.com><a href=tel:1><a><a href>",
        '<img srcset="https://example.com/a 1x" src=https://example.com/i.png><form action="https://example.com/f">',
        "<svg><image href='x.png'/></svg><base href='https://example.com/'>",
    ],
)
def test_what_is_no_link_to_follow_stays_as_it_is(html: str) -> None:
    assert html_of(html).startswith(html)


@pytest.mark.parametrize(
    "html",
    [
        "<p><a href='https://example.com/a'>never closed",
        "<a href=https://example.com/a<b>x</a></p></p>",
        '<div <a href="https://example.com/a">x</a>',
        "<a href=\"https://example.com/a\"\x00>x</a>",
        "<![CDATA[<a href='https://example.com/a'>x</a>]]>",
        "<!doctype html><!-- > --><a href='https://example.com/a'>x</a",
    ],
)  # fmt: skip
def test_malformed_html_is_sent_with_its_pixel_and_its_way_out(html: str) -> None:
    made_of = html_of(html)
    assert PIXEL.search(made_of) is not None
    assert UNSUBSCRIBE.search(made_of) is not None
