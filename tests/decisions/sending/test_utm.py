"""UTM tags are added to what an address has, and break none."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from decisions.sending.instrument import TrackingParts, parts_of
from decisions.sending.own_system import instrumented
from decisions.sending.urls import MAX_URL
from decisions.sending.utm import Tags, check_utm, tagged, tags_of
from schemas.errors import Reject
from schemas.events import Campaign
from schemas.tokens import Keyring
from tests.agents.mails import NOW, a_send

KEYS = Keyring.parse("1:the-first-key-of-these-tests")
CAMPAIGN = Campaign(
    id="spring",
    name="Spring",
    created_at=NOW,
    utm_source="news letter",
    utm_medium="email",
    utm_campaign="{campaign}",
    utm_content="{step}-{variant}-{link}",
)
TAGS: Tags = (("utm_source", "news letter"), ("utm_content", "1-{link}"))


def made(html: str = "", text: str = "", **options: Any) -> TrackingParts:
    """An email of step 3, variant B."""
    send = structs.replace(a_send(html=html, text=text), step=3, variant="B")
    return parts_of(
        send,
        KEYS,
        public_url="https://t.example",
        envelope_domain="bounces.example",
        minted_at=NOW,
        utm=tags_of(CAMPAIGN, send.step, send.variant),
        **options,
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", "https://a.example?utm_source=news%20letter&utm_content=1-7"),
        ("https://a.example/?", "https://a.example/?utm_source=news%20letter&utm_content=1-7"),
        ("https://a.example/x?a=1", "https://a.example/x?a=1&utm_source=news%20letter&utm_content=1-7"),
        ("https://a.example/x?a=1&", "https://a.example/x?a=1&utm_source=news%20letter&utm_content=1-7"),
        ("https://a.example/x#y?z", "https://a.example/x?utm_source=news%20letter&utm_content=1-7#y?z"),
        ("https://a.example/x?utm_source=me#y", "https://a.example/x?utm_source=me&utm_content=1-7#y"),
        ("https://a.example/x?UTM_Source=me", "https://a.example/x?UTM_Source=me&utm_content=1-7"),
        ("https://a.example/x?utm%5Fsource=me;b", "https://a.example/x?utm%5Fsource=me;b&utm_content=1-7"),
        ("https://a.example/x?utm_source&utm_content=", "https://a.example/x?utm_source&utm_content="),
    ],
)
def test_a_tag_is_added_where_it_is_missing_and_before_the_fragment(url: str, expected: str) -> None:
    assert tagged(url, TAGS, 7) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=ab",
        "https://b.s3.amazonaws.com/k?AWSAccessKeyId=A&Signature=ab&Expires=1",
        "https://d.cloudfront.net/k?Expires=1&Signature=ab&Key-Pair-Id=K",
        "https://storage.googleapis.com/b/k?X-Goog-Signature=ab",
        "https://a.blob.core.windows.net/c/k?sv=2022-11-02&sig=ab",
        "https://app.example/invitation?user=1&signature=ab",
        "https://storage.googleapis.com/b/k?GoogleAccessId=a&Expires=1&Signature=ab%3D",
        "https://media.example/k?Expires=1&KeyName=k&Signature=ab==",
        "https://b.oss-cn-hangzhou.aliyuncs.com/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=ab",
        "https://b.cos.ap-beijing.myqcloud.com/k?q-sign-algorithm=sha1&q-ak=a&q-signature=ab",
        "https://symfony.example/x?id=1&_hash=abc",
        "https://symfony.example/x?_expiration=1700000000&_hash=n5%2Bb3%2Fc%3D&id=1",
        "https://zone.b-cdn.net/x?token=abc&expires=1",
        "https://zone.b-cdn.net/x?token=HS256-abc&token_path=%2Fx%2F&expires=1",
        "https://zone.kxcdn.com/x?token=abc&expire=1",
        "https://up.qiniu.example/x?e=1451491200&token=ak:abc=",
        f"https://www.example.com/foo?token=1441307151_{'4492f25946' * 4}",
        f"https://a.imgix.net/x.png?w=1&s={'0123456789abcdef' * 2}",
        f"https://glide.example/x.jpg?s={'0123456789ABCDEF' * 2}&w=1",
        "https://ik.imagekit.io/a/x.jpg?tr=w-1&ik-t=1&ik-s=ab",
        "https://a.example/cat.jpg?verify=1484063787-9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE%3D",
        "https://a.example/cat.jpg?mac=1484063787-9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE%3D",
        f"https://a.example/x.m3u8?hdnts=exp=1614564664~acl=/x/*~hmac={'42b4464b' * 8}",
        f"https://a.example/x?tok=st%3D1~exp%3D2~hmac%3D{'42b4464b' * 8}",
        f"https://a.example/x?auth_key=1500000000-0-0-{'0123456789abcdef' * 2}",
        f"https://a.example/x?sign=1582791032-im1acp76sx9sdqe601v-0-{'0123456789abcdef' * 2}",
        f"https://a.example/x?sign={'0123456789abcdef' * 2}&t=1721029907",
        "https://a.example/x?sign=ab&time=1721029907",
        "https://a.example/s/link?md5=_e4Nc3iduzkWRm01TBBNYw&expires=2147483647",
        "https://a.example/p/x.pdf?st=_e4Nc3iduzkWRm01TBBNYw&e=1324527723",
        "https://swift.example/v1/a/c/o?temp_url_sig=ab&temp_url_expires=1",
        "https://cdn.discordapp.com/attachments/1/2/x.png?ex=65d98d0a&is=65c7180a&hm=ab&",
        "https://a.blob.core.windows.net/c/k?sv=2022-11-02&SIG=ab#page=2",
    ],
)
def test_an_address_that_is_signed_is_left_as_it_is(url: str) -> None:
    assert tagged(url, TAGS, 1) == url


@pytest.mark.parametrize(
    "arguments",
    [
        *("token=abc", "expires=1", "s=seeds", "s=deadbeef", "verify=me@a.example", "verify=1", "sign=leo", "t=1", "e=1&st=1"),
        *("hash=abc", "hm=1", "ex=1&is=2", "md5=abc", "e=1", "signed=yes", "mac=1484063787", "id=1484063787-ab-cd-ef"),
        *("q=_hash", "assign=1&sign", "", "token=abc&expiry=1", "design=x&time=1"),
    ],
)  # fmt: skip
def test_an_address_that_only_looks_a_little_like_it_gets_its_tags(arguments: str) -> None:
    assert "utm_source=news" in tagged(f"https://a.example/x?{arguments}", TAGS, 1)


def test_an_address_that_would_be_too_long_is_left_as_it_is() -> None:
    url = "https://a.example/" + "x" * (MAX_URL - 30)
    assert tagged(url, TAGS, 1) == url


@given(st.text(alphabet="ab?&;=#%/_utmsource", max_size=60))
def test_whatever_the_address_had_it_has_still_and_tagging_again_adds_nothing(rest: str) -> None:
    url = f"https://a.example/{rest}"
    once = tagged(url, TAGS, 1)
    assert tagged(once, TAGS, 1) == once
    before, after = urlsplit(url), urlsplit(once)
    assert (before.path, before.fragment) == (after.path, after.fragment)
    had = parse_qsl(before.query, keep_blank_values=True)
    assert parse_qsl(after.query, keep_blank_values=True)[: len(had)] == had


def test_links_are_numbered_as_the_email_has_them_and_lead_to_the_tagged_address() -> None:
    html = '<a href="https://a.example/1?x=1&amp;y=2">a</a> <a href="https://b.example">b</a> <a href="https://a.example/1?x=1&amp;y=2">a</a>'
    parts = made(html)
    tags = "utm_source=news%20letter&utm_medium=email&utm_campaign=spring&utm_content=3-B-"
    assert [link.url for link in parts.links] == [
        f"https://a.example/1?x=1&y=2&{tags}1",
        f"https://b.example?{tags}2",
    ]
    assert [KEYS.link_id("spring", link.url) for link in parts.links] == [link.link_id for link in parts.links]
    assert re.findall(r"/c/[\w-]+/([0-9a-f]{64})", parts.html) == [parts.links[n].link_id for n in (0, 1, 0)]


def test_where_no_clicks_are_tracked_the_links_have_their_tags_all_the_same() -> None:
    html = "<a href='https://a.example/?x=1&amp;y=2'>a</a><a data-track=off href=https://b.example>b</a><a href='mailto:a@b.example'>m</a>"
    parts = made(html, track_clicks=False)
    assert parts.links == []
    assert "href='https://a.example/?x=1&amp;y=2&amp;utm_source=news%20letter&amp;utm_medium=email" in parts.html
    assert "href=https://b.example>" in parts.html
    text = made(text="See https://a.example.", track_clicks=False).text
    assert text.startswith("See https://a.example?utm_source=news%20letter&utm_medium=email&utm_campaign=spring&")
    assert "utm_content=3-B-1." in text
    assert text.count("utm_source") == 1, "the unsubscribe link is ours"


def test_who_sends_by_a_system_of_their_own_has_the_tags_too() -> None:
    send = a_send(html='<a href="https://a.example">a</a>', text="")
    email = instrumented(
        send, CAMPAIGN, NOW,
        keyring=KEYS, public_url="https://t.example", envelope_domain="b.example", honeypot=True, unsubscribe_word="Bye",
    )  # fmt: skip
    assert [link.url.partition("&")[0] for link in email.links if "hidden" not in link.url] == [
        "https://a.example?utm_source=news%20letter"
    ]
    assert [link.url for link in email.links if "hidden" in link.url] == ["https://t.example/hidden"]


def test_what_a_tag_says_is_text_and_no_argument() -> None:
    evil = structs.replace(CAMPAIGN, utm_source="a&b=c#d", utm_content="")
    (name, value), *_ = tags_of(evil, 1, "")
    assert tagged("https://a.example", ((name, value),), 1) == "https://a.example?utm_source=a%26b%3Dc%23d"


@pytest.mark.parametrize("value", ["{lead}", "{step", "}", "a\nb", "x" * 201])
def test_a_tag_that_can_not_be_filled_in_is_refused(value: str) -> None:
    with pytest.raises(Reject):
        check_utm(structs.replace(CAMPAIGN, utm_content=value))
    check_utm(CAMPAIGN)
