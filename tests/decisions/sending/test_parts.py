"""How an email is put together of text, AMP, HTML and images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.sending import instrument, tracking
from decisions.sending.mime import image, related
from decisions.sending.utm import Tags
from schemas.errors import Reject
from schemas.state.images import Image
from tests.agents.mails import AMP, ENVELOPE, GIF, ILLUSTRATED, KEYRING, NOW, PNG, PUBLIC, a_send, instrumented, parsed


def types(**changes: object) -> list[str]:
    return [part.get_content_type() for part in parsed(instrumented(a_send(**changes)).message).walk()]


def test_amp_stands_between_text_and_html() -> None:
    assert types(amp=AMP) == ["multipart/alternative", "text/plain", "text/x-amp-html", "text/html"]


def test_images_stand_with_the_html_that_shows_them() -> None:
    assert types(html=ILLUSTRATED, images=[GIF, PNG]) == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/gif",
        "image/png",
    ]


def test_without_them_an_email_is_made_as_ever() -> None:
    assert types() == ["multipart/alternative", "text/plain", "text/html"]
    assert types(html="", text="Hello") == ["text/plain"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_amp_comes_back_byte_for_byte(amp: str) -> None:
    message = instrumented(a_send(amp=amp)).message
    assert max(map(len, message.split(b"\r\n"))) <= 998
    _, _, part, _ = parsed(message).walk()
    assert part.get_payload(decode=True) == amp.encode()


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=4))
def test_any_image_comes_back_byte_for_byte(contents: list[bytes]) -> None:
    images = [
        Image(content_id=f"n{number}", media_type="image/png", content=content)
        for number, content in enumerate(contents)
    ]
    _, _, _, _, *parts = parsed(instrumented(a_send(images=images)).message).walk()
    assert [part.get_payload(decode=True) for part in parts] == contents


def test_images_of_one_email_are_not_those_of_the_next() -> None:
    for content in (b"\x89PNG\r\n\x1a\nfirst", b"\x89PNG\r\n\x1a\nsecond"):
        each = Image(content_id="logo", media_type="image/png", content=content)
        *_, shown = parsed(instrumented(a_send(images=[each])).message).walk()
        assert shown.get_payload(decode=True) == content


def test_no_boundary_begins_with_the_other() -> None:
    message = parsed(instrumented(a_send(html=ILLUSTRATED, images=[PNG])).message)
    outer, inner = (str(part.get_boundary()) for part in message.walk() if part.is_multipart())
    assert not inner.startswith(outer)
    assert not outer.startswith(inner)


@pytest.mark.parametrize("changes", [{"amp": AMP}, {"images": [PNG]}])
def test_amp_or_images_without_html_are_rejected_and_not_dropped(changes: dict[str, object]) -> None:
    with pytest.raises(Reject, match="html-missing"):
        instrumented(a_send(html="", text="Hello", **changes))


@pytest.mark.parametrize(("media_type", "content_id"), [("image/png\r\nX: y", "a"), ("image/png", "a>\r\nX: y")])
def test_a_line_break_in_an_images_headers_is_rejected(media_type: str, content_id: str) -> None:
    with pytest.raises(Reject, match="control-character"):
        image(media_type, content_id, b"")


def test_an_amp_part_that_is_no_unicode_is_rejected() -> None:
    with pytest.raises(Reject, match="not-unicode"):
        instrumented(a_send(amp="\ud800"))


def test_related_says_which_part_is_shown() -> None:
    made = parsed(related("=_r", b"Content-Type: text/html\r\n\r\nx\r\n", [image("image/gif", "a", b"GIF89a")]))
    assert made.get_param("type") == "text/html"
    assert made.get_body(("html",)) is not None


PIECES = (
    "<p>Hi Ann</p>\n",
    "<p>Hi Bob &amp; all,</p>",
    '<a href="https://a.example/1">one</a>\n',
    '<a href="https://a.example/2">two</a>',
    "<a href='https://a.example/1' data-track=off>one</a>",
    '<a href="https://a.example/1"><img alt="one"></a>',
    "<!-- note -->",
    '<a href="{{unsubscribe_url}}">bye</a>\n',
    '<area href="https://a.example/3">',
    "</body>",
)
TAGS = ((), (("utm_source", "news"),), (("utm_content", "{link}"),))


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(PIECES), min_size=1), st.sampled_from(TAGS)), min_size=2, max_size=4)
)
def test_an_email_after_others_of_its_variant_is_made_as_alone(emails: list[tuple[list[str], Tags]]) -> None:
    def made(number: int) -> instrument.Instrumented:
        pieces, tags = emails[number]
        return instrument.instrument(
            a_send(html="".join(pieces), lead=f"lead-{number}"),
            KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW, utm=tags, wrap_text_links=True,
        )  # fmt: skip

    _forget()
    beside = [made(number) for number in range(len(emails))]
    for number, email in enumerate(beside):
        _forget()
        assert made(number) == email


def _forget() -> None:
    for kept in (instrument._last_of, instrument._coders_of, instrument._header_again, tracking._links_of):
        kept.cache_clear()
