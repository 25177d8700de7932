"""Makes the email that is sent out of the one the platform asked for: pixel, wrapped links, unsubscribe, identity.

Pure: the same send, keys and moment give the same bytes. The AMP part and the images are left as they came.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from uuid import UUID

from agents.decisions.mime import alternative, body, header, image, mailbox, related
from agents.decisions.plaintext import plaintext
from agents.decisions.rewrite import PLACEHOLDER, PLACEHOLDER_NAME, Scan, rewrite, scan, shows_placeholder
from agents.decisions.urls import target
from schemas.errors import Reject
from schemas.events import Link, Send
from schemas.images import Image
from schemas.tokens import Claim, Keyring, Purpose

# Ours to write: a second one would break the mail or the tracking, and Bcc would show the others.
_RESERVED = re.compile(
    r"(from|to|cc|bcc|sender|subject|date|message-id|mime-version|list-unsubscribe|list-unsubscribe-post|return-path"
    r"|received|authentication-results|dkim-signature|(content|resent|arc|x-sendlens)-.*)",
    re.IGNORECASE,
)

# The emails of one step and variant differ in a greeting at most, and come after each other: of so many variants the
# last HTML is remembered, so that the next is not read anew.
_VARIANTS = 32
# Its images are often the same too: a copy and its base64 are kept, of an email's 5 MB at the most.
_ILLUSTRATED = 4

_ADDRESS = re.compile(r"""(?<![A-Za-z0-9])https?://[^\s<>"'`\[\]]+""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parts:
    """What tracking makes of an email, before anybody has put it together. `headers` are ours to write, by name;
    `message_id` is without its angle brackets; `links` must be known before the email leaves."""

    html: str
    text: str
    headers: dict[str, str]
    message_id: str
    return_path: str
    links: list[Link]


@dataclass(frozen=True, slots=True)
class Instrumented:
    """An email ready for SMTP. `message_id` is without its angle brackets, `address` the recipient's keyed hash;
    `links` must be known before it leaves."""

    message: bytes
    envelope_from: str
    envelope_to: str
    message_id: str
    sender: str
    address: str
    links: list[Link]


def instrument(
    send: Send,
    keyring: Keyring,
    *,
    public_url: str,
    envelope_domain: str,
    now: datetime,
    unsubscribe_word: str = "Unsubscribe",
    honeypot: bool = False,
    track_opens: bool = True,
    track_clicks: bool = True,
    wrap_text_links: bool = False,
) -> Instrumented:
    """Build the email. Raises Reject for what can't become one: a bad address or header, no content, a bad id."""
    sender, to = mailbox(send.sender), mailbox(send.to)
    made = parts_of(
        send,
        keyring,
        public_url=public_url,
        envelope_domain=envelope_domain,
        minted_at=now,
        unsubscribe_word=unsubscribe_word,
        honeypot=honeypot,
        track_opens=track_opens,
        track_clicks=track_clicks,
        wrap_text_links=wrap_text_links,
    )
    headers = [
        header("From", str(sender)),
        header("To", str(to)),
        header("Subject", send.subject),
        header("Date", format_datetime(now)),
        *(header(name, value) for name, value in made.headers.items()),
        *_custom(send.headers),
        b"MIME-Version: 1.0\r\n",
    ]
    return Instrumented(
        message=b"".join(headers) + _content(send, made),
        envelope_from=made.return_path,
        envelope_to=to.address,
        message_id=made.message_id,
        sender=sender.address,
        address=keyring.address_ids(to.address)[0],
        links=made.links,
    )


def _content(send: Send, made: Parts) -> bytes:
    """Text, AMP, and HTML with its images, in this order: some clients show the last part, whatever it is."""
    if (send.amp or send.images) and not made.html:
        raise Reject("html-missing", "the send has an AMP part or images, and no html")
    bodies = [body("plain", made.text)]
    if not made.html:
        return bodies[0]
    boundary = UUID(send.delivery_id).hex
    if send.amp:
        bodies.append(body("x-amp-html", send.amp, exactly=True))
    html = body("html", made.html)
    bodies.append(related(f"=_r{boundary}", html, _coded(tuple(send.images))) if send.images else html)
    return alternative(f"=_{boundary}", bodies)


@lru_cache(maxsize=_ILLUSTRATED)
def _coded(images: tuple[Image, ...]) -> list[bytes]:
    """The images' parts, which are only read."""
    return [image(one.media_type, one.content_id, one.content) for one in images]


def parts_of(
    send: Send,
    keyring: Keyring,
    *,
    public_url: str,
    envelope_domain: str,
    minted_at: datetime,
    unsubscribe_word: str = "Unsubscribe",
    honeypot: bool = False,
    track_opens: bool = True,
    track_clicks: bool = True,
    wrap_text_links: bool = False,
) -> Parts:
    """What is to be in the email. `minted_at` goes into its tokens: it can't have been delivered before.

    `honeypot` adds a link to the HTML that no person can see; what follows it is a robot. Without `track_opens` there
    is no pixel, without `track_clicks` no link is touched; `wrap_text_links` wraps those of the text part as well.
    Raises Reject when there is no content, or an id is none.
    """
    if not (send.html or send.text):
        raise Reject("no-content", "the send has neither html nor text")
    claim = _claim(send, minted_at)
    unsubscribe_token = keyring.sign(Purpose.UNSUBSCRIBE, claim)
    unsubscribe_url = f"{public_url}/u/{unsubscribe_token}"
    message_id = f"{keyring.sign(Purpose.MESSAGE, claim)}@{envelope_domain}"

    links: dict[str, Link] = {}
    html, text = send.html, send.text
    click_token = keyring.sign(Purpose.CLICK, claim) if track_clicks else ""
    wrap = _wrapper(send.campaign, keyring, public_url, click_token, links) if track_clicks else _untouched
    if html:
        last = _last_of(send.campaign, send.step, send.variant)
        found = last.scan_of(html)
        text = text or last.text_of(html)
        tail = "" if shows_placeholder(html, found) else _html_footer(unsubscribe_url, unsubscribe_word)
        if honeypot and track_clicks:
            trap = Link(link_id=keyring.honeypots(send.campaign)[0], campaign=send.campaign, url=f"{public_url}/hidden")
            links[trap.link_id] = trap
            tail += _hidden_link(f"{public_url}/c/{click_token}/{trap.link_id}")
        if track_opens:
            tail += _pixel(f"{public_url}/o/{keyring.sign(Purpose.OPEN, claim)}.gif")
        html = rewrite(html, found, wrap, unsubscribe_url, tail)
    if wrap_text_links and track_clicks:
        text = _with_wrapped_links(text, wrap)
    return Parts(
        html=html,
        text=_with_unsubscribe(text, unsubscribe_url, unsubscribe_word),
        headers={
            "Message-ID": f"<{message_id}>",
            # The mail form carries the token as its subject: "unsubscribe+" and a token are over 64 octets, and a
            # return path's token must not unsubscribe anyone.
            "List-Unsubscribe": f"<{unsubscribe_url}>, "
            f"<mailto:unsubscribe@{envelope_domain}?subject={unsubscribe_token}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",  # RFC 8058
        },
        message_id=message_id,
        return_path=f"bounce+{keyring.sign_bounce(claim)}@{envelope_domain}",
        links=list(links.values()),
    )


class _Last:
    """The HTML read last for a variant: no answer depends on it, but how long the answer takes."""

    def __init__(self) -> None:
        self._scanned = ("", Scan())
        self._told = ("", "")

    def scan_of(self, html: str) -> Scan:
        last, found = self._scanned
        if html != last:
            self._scanned = html, found = html, scan(html, found)
        return found

    def text_of(self, html: str) -> str:
        last, text = self._told
        if html != last:
            self._told = html, text = html, plaintext(self.scan_of(html))
        return text


@lru_cache(maxsize=_VARIANTS)
def _last_of(campaign: str, step: int, variant: str) -> _Last:
    """The same one for the same variant, until too many others were asked for: nothing but the cache reads these."""
    return _Last()


def _claim(send: Send, minted_at: datetime) -> Claim:
    try:
        delivery = UUID(send.delivery_id)
    except ValueError:
        raise Reject("bad-id", "the delivery id is not a UUID") from None
    return Claim(delivery, send.campaign, send.step, send.variant, send.lead, int(minted_at.timestamp()))


def _wrapper(
    campaign: str, keyring: Keyring, public_url: str, token: str, links: dict[str, Link]
) -> Callable[[str], str | None]:
    """What `rewrite` asks of each address: its wrapped form as source text, or None to leave it. Fills `links`."""
    ours = tuple(f"{public_url}/{path}/" for path in "cou")
    prefix = _html.escape(f"{public_url}/c/{token}/")

    def wrap(url: str) -> str | None:
        link = links.get(url)
        if link is None:
            address = None if url.startswith(ours) else target(url)
            if address is None:
                return None
            link = links[url] = Link(link_id=keyring.link_id(campaign, address), campaign=campaign, url=address)
        return prefix + link.link_id

    return wrap


def _untouched(_: str) -> None:
    """No link is wrapped."""


def _with_wrapped_links(text: str, wrap: Callable[[str], str | None]) -> str:
    """The text with its addresses wrapped; what ends a sentence or a bracket around an address is none of it."""

    def wrapped(found: re.Match[str]) -> str:
        url = found[0].rstrip(".,;:!?'*_")
        while url.endswith(")") and url.count(")") > url.count("("):
            url = url[:-1].rstrip(".,;:!?'*_")
        instead = None if PLACEHOLDER.search(url) else wrap(url)
        return found[0] if instead is None else _html.unescape(instead) + found[0][len(url) :]

    return _ADDRESS.sub(wrapped, text)


def _pixel(url: str) -> str:
    # Not display:none, which some clients take as leave not to fetch it.
    return f'<img src="{_html.escape(url)}" width="1" height="1" alt="" style="border:0;width:1px;height:1px">'


def _hidden_link(url: str) -> str:
    # Not shown, not reached by the Tab key, not read aloud; and where a client drops styles, there is nothing to click.
    return f'<a href="{_html.escape(url)}" style="display:none" tabindex="-1" aria-hidden="true"></a>'


def _html_footer(url: str, word: str) -> str:
    return (
        '<p style="margin:24px 0 8px;font:12px/1.5 sans-serif;text-align:center">'
        f'<a href="{_html.escape(url)}" style="color:#6b7280">{_html.escape(word)}</a></p>'
    )


def _with_unsubscribe(text: str, url: str, word: str) -> str:
    filled = PLACEHOLDER.sub(lambda _: url, text) if PLACEHOLDER_NAME in text else text
    return filled if filled != text else f"{text}\n\n{word}: {url}\n"


def _custom(headers: dict[str, str]) -> list[bytes]:
    written = []
    for name, value in headers.items():
        if _RESERVED.fullmatch(name):
            raise Reject("reserved-header", f"{name[:80]} is written by Sendlens")
        written.append(header(name, value))
    return written
