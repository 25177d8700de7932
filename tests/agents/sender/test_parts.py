"""Emails with an AMP part and images of their own, through a real mail server: what is tracked, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from schemas.events import Send
from schemas.state.attempts import Waiting
from tests.agents.mails import (
    AMP,
    GIF,
    ILLUSTRATED,
    PNG,
    a_send,
    parsed,
    part,
)
from tests.agents.sender.sender_house import House, house
from tests.agents.sender.test_accounts import account, dns_of, key_file, senders, verified
from tests.agents.sender.test_retries import Clock, when_due

__all__ = ["house"]  # the fixture


def a_whole_one() -> Send:
    return a_send(html=ILLUSTRATED, amp=AMP, images=[PNG, GIF])


def arrived_whole(message: bytes) -> None:
    """Fail unless everything of `a_whole_one` is in it, in its place."""
    mail = parsed(message)
    assert not mail.defects
    assert [each.get_content_type() for each in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/x-amp-html",
        "multipart/related",
        "text/html",
        "image/png",
        "image/gif",
    ]
    _, _, amp, related, html, *images = mail.walk()
    assert amp.get_payload(decode=True) == AMP.encode()
    assert amp.get_content_charset() == "utf-8"
    assert related.get_param("type") == "text/html"
    assert [(each["Content-ID"], each.get_content_disposition()) for each in images] == [
        ("<logo>", "inline"),
        ("<dot.1@example.com>", "inline"),
    ]
    assert [each.get_payload(decode=True) for each in images] == [PNG.content, GIF.content]
    shown = html.get_content()
    for untouched in ('<img src="cid:logo">', "<img src='cid:dot.1@example.com'>"):
        assert untouched in shown
    assert "/o/" in shown
    assert "/c/" in shown
    assert "example.com/b" not in shown
    assert "/u/" in part(message, "plain")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "/u/" in mail["List-Unsubscribe"]


async def test_html_is_tracked_and_amp_and_images_arrive_byte_for_byte(house: House) -> None:
    (result,) = await house.sender().send([a_whole_one()])
    assert result.delivery is not None
    arrived_whole(house.server.mails[0].content)
    assert [link.url for link in house.links] == ["https://example.com/b"]


async def test_a_retry_has_all_of_it_as_the_topic_gives_it_back(house: House) -> None:
    house.server.at_data["ada@example.net"].append("451 4.7.1 try again in 300 seconds")
    clock = Clock()
    sender = house.sender(clock=clock)
    send = msgspec.json.decode(msgspec.json.encode(a_whole_one()), type=Send)
    (first,) = await sender.send([send])
    assert not house.server.mails
    waiting = msgspec.json.decode(msgspec.json.encode(first.waiting), type=Waiting)
    assert waiting.send is not None
    again = await when_due(sender, clock, replace(first, waiting=waiting), waiting.send)
    assert again.delivery is not None
    arrived_whole(house.server.mails[0].content)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_the_signature_covers_all_of_it(house: House, tmp_path: Path, kind: str) -> None:
    path = key_file(tmp_path, kind)
    more = f'[account.dkim]\nselector = "mail"\nkey_file = "{path}"'
    accounts = senders(account("grace@example.com", house.server.port) + more)
    (result,) = await house.sender(accounts=accounts).send([a_whole_one()])
    assert result.delivery is not None
    message, dns = house.server.mails[0].content, dns_of(path, kind)
    arrived_whole(message)
    assert verified(message, dns)
    assert not verified(message.replace(b"Content-ID: <logo>", b"Content-ID: <other>"), dns)


async def test_the_unsubscribe_link_speaks_the_emails_language(house: House) -> None:
    german = a_send(html='<html lang="de-AT"><body><p>Die Samen sind da.</p></body></html>')
    (result,) = await house.sender().send([german])
    assert result.delivery is not None
    message = house.server.mails[0].content
    assert "Abmelden" in part(message, "html")
    assert "Abmelden: http" in part(message, "plain")
