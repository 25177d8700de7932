"""Makes the email that is sent out of the one the platform asked for: pixel, wrapped links, unsubscribe, identity.

Pure: the same send, keys and moment give the same bytes. The AMP part and the images are left as they came.
"""

from __future__ import annotations

import html as _html
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Literal
from uuid import UUID

from msgspec import structs

from decisions.providers.passing import headers_for, passed_text
from decisions.sending.clip import PIXEL_CLIPPED, UNSUBSCRIBE_CLIPPED, is_clipped, is_whole, place_of
from decisions.sending.mime import LineCoder, alternative, body, header, image, related, spelled
from decisions.sending.plaintext import plaintext
from decisions.sending.rewrite import PLACEHOLDER, PLACEHOLDER_NAME, Scan, rewrite, scan
from decisions.sending.shown import shown_placeholder, top_of
from decisions.sending.text_links import wrapped
from decisions.sending.tracking import untouched, wrapper
from decisions.sending.utm import Tags
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Link, Send
from schemas.headers import check_headers
from schemas.providers import Provider
from schemas.state.images import Image
from schemas.tokens import Claim, Keyring, Purpose

Pixel = Literal["auto", "top", "bottom"]

# The emails of one step and variant differ in a greeting at most, and come after each other: of so many variants the
# last HTML is cached, so that the next is not scanned again.
_VARIANTS = 32
_MOST_KEPT, _MOST_STRETCHES = 1_000_000, 5_000  # characters, and links, of what is remembered
# Its images are often the same too: a copy and its base64 are kept, of an email's 5 MB at the most.
_ILLUSTRATED = 4


@dataclass(frozen=True, slots=True)
class TrackingParts:
    """What tracking makes of an email, before anybody has put it together. `headers` are ours to write, by name;
    `message_id` is without its angle brackets; `links` must be known before the email leaves, `wrapped_links` counts
    those that a person can follow; `warnings` are words for what the platform should mend (clip.py)."""

    html: str
    text: str
    headers: dict[str, str]
    message_id: str
    return_path: str
    links: list[Link]
    warnings: list[str]
    pixel: bool
    wrapped_links: int


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
    pixel: bool
    wrapped_links: int


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
    pixel: Pixel = "auto",
    utm: Tags = (),
    provider: Provider | None = None,
) -> Instrumented:
    """Build the email. `provider` is whose mail server it leaves by: told of the email, it names it in its reports.

    Raises Reject for what can't become one: a bad address or header, no content, a bad id."""
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
        pixel=pixel,
        utm=utm,
    )
    headers = [
        _header_again("From", spelled(sender)),
        header("To", spelled(to)),
        _header_again("Subject", send.subject),
        _header_again("Date", _date(now)),
        *(header(name, value) for name, value in made.headers.items()),
        *_passed_along(provider, made.message_id, send.headers),
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
        pixel=made.pixel,
        wrapped_links=made.wrapped_links,
    )


# Headers that emails have in common.
_header_again = lru_cache(maxsize=500)(header)


def _date(now: datetime) -> str:
    """As RFC 5322, 3.3 spells it: a second's emails have it in common."""
    return _date_in_utc(now.replace(microsecond=0)) if now.tzinfo is UTC else format_datetime(now)


_date_in_utc = lru_cache(maxsize=100)(format_datetime)


def _passed_along(provider: Provider | None, message_id: str, given: dict[str, str]) -> list[bytes]:
    """Headers by which the provider's reports name the email, but for those that the platform has given itself."""
    if provider is None:
        return []
    taken = {name.lower() for name in given}
    found = headers_for(provider, passed_text(message_id.partition("@")[0]))
    return [header(name, value) for name, value in found.items() if name.lower() not in taken]


def _content(send: Send, made: TrackingParts) -> bytes:
    """Text, AMP, and HTML with its images, in this order: some clients show the last part, whatever it is."""
    if (send.amp or send.images) and not made.html:
        raise Reject("html-missing", "the send has an AMP part or images, and no html")
    plain, html = _coders_of(send.campaign, send.step, send.variant)
    bodies = [body("plain", made.text, plain)]
    if not made.html:
        return bodies[0]
    boundary = UUID(send.delivery_id).hex
    if send.amp:
        bodies.append(body("x-amp-html", send.amp, exactly=True))
    shown = body("html", made.html, html)
    bodies.append(related(f"=_r{boundary}", shown, _coded(tuple(send.images))) if send.images else shown)
    return alternative(f"=_{boundary}", bodies)


@lru_cache(maxsize=_ILLUSTRATED)
def _coded(images: tuple[Image, ...]) -> list[bytes]:
    """The images' parts, which are only read."""
    return [image(one.media_type, one.content_id, one.content) for one in images]


def _with_pixel(
    source: str,
    found: Scan,
    wrap: Callable[[str], str | None],
    unsubscribe_url: str,
    tail: str,
    seen: str,
    pixel: Pixel,
) -> str:
    """The HTML rewritten, with `tail` at its bottom and the pixel where it is to stand."""
    if pixel != "top":
        html = rewrite(source, found, wrap, unsubscribe_url, tail + seen)
        if pixel != "auto" or not seen or is_whole(html) or not is_clipped(html, place_of(html, seen)):
            return html
    return rewrite(source, found, wrap, unsubscribe_url, tail, seen, top_of(source, found))


def _clipped(html: str, seen: str, unsubscribe: str, shown: int) -> list[str]:
    """What Gmail would cut off: the pixel, and the link to unsubscribe, which is looked for from `shown` on."""
    warnings: list[str] = []
    if is_whole(html):
        return warnings
    if seen and is_clipped(html, place_of(html, seen)):
        warnings.append(PIXEL_CLIPPED)
    if is_clipped(html, place_of(html, unsubscribe, shown)):
        warnings.append(UNSUBSCRIBE_CLIPPED)
    return warnings


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
    pixel: Pixel = "auto",
    utm: Tags = (),
) -> TrackingParts:
    """What is to be in the email. `minted_at` goes into its tokens: it can't have been delivered before.

    `honeypot` adds a link to the HTML that no person can see; what follows it is a robot. Without `track_opens` there
    is no pixel, without `track_clicks` no link is wrapped. The links of a text part are wrapped where there is no HTML,
    or with `wrap_text_links`. `pixel` is where the pixel stands in the HTML: `auto` is at the bottom, or at the top
    where Gmail would cut the bottom off. `utm` are the tags that links get, wrapped or not. Raises Reject when there is
    no content, or an id is not valid.
    """
    if not (send.html or send.text):
        raise Reject("no-content", "the send has neither html nor text")
    claim = _claim(send, minted_at)
    unsubscribe_token = keyring.sign(Purpose.UNSUBSCRIBE, claim)
    # The page behind the link offers to leave one of the lists; a mail leaves them all, and has a short subject.
    unsubscribe_url = f"{public_url}/u/{_offering(send, claim, keyring, unsubscribe_token)}"
    message_id = f"{keyring.sign(Purpose.MESSAGE, claim)}@{envelope_domain}"

    links: dict[str, Link] = {}
    html, text = send.html, send.text
    click_token = keyring.sign(Purpose.CLICK, claim) if track_clicks else ""
    wraps = track_clicks or bool(utm)
    wrap = wrapper(send.campaign, keyring, public_url, click_token, links, utm) if wraps else untouched
    warnings: list[str] = []
    found: Scan | None = None
    seen = hidden = ""
    if html:
        last = _last_of(send.campaign, send.step, send.variant)
        found = last.scan_of(html)
        text = text or last.text_of(html, found)
        shown = shown_placeholder(html, found)
        footer = _html_footer(unsubscribe_url, unsubscribe_word) if shown is None else ""
        hidden = _trap(send.campaign, keyring, public_url, click_token, links) if honeypot else ""
        seen = _pixel(f"{public_url}/o/{keyring.sign(Purpose.OPEN, claim)}.gif") if track_opens else ""
        html = _with_pixel(html, found, wrap, unsubscribe_url, footer + hidden, seen, pixel)
        warnings = _clipped(html, seen, footer or _html.escape(unsubscribe_url), shown or 0)
    if wrap_text_links or not html:
        text = _with_wrapped_links(text, wrap, found)
    return TrackingParts(
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
        warnings=warnings,
        pixel=bool(seen),
        wrapped_links=len(links) - bool(hidden),
    )


def _offering(send: Send, claim: Claim, keyring: Keyring, plain: str) -> str:
    """The unsubscribe token that names the email's lists; where it has none, `plain`, which is the same."""
    if not send.lists:
        return plain
    return keyring.sign(Purpose.UNSUBSCRIBE, structs.replace(claim, lists=tuple(send.lists)))


def _with_wrapped_links(text: str, wrap: Callable[[str], str | None], found: Scan | None) -> str:
    """The text with its links wrapped, but for those that the HTML leaves alone."""
    left_alone = {href.url for href in found.hrefs if href.left_alone} if found else set()
    return wrapped(text, lambda url: _in_text(url, wrap, left_alone))


def _trap(campaign: str, keyring: Keyring, public_url: str, click_token: str, links: dict[str, Link]) -> str:
    """The honeypot's link as HTML, which is added to `links`; nothing without a token for clicks."""
    if not click_token:
        return ""
    trap = Link(link_id=keyring.honeypots(campaign)[0], campaign=campaign, url=f"{public_url}/hidden")
    links[trap.link_id] = trap
    return _hidden_link(f"{public_url}/c/{click_token}/{trap.link_id}")


class _LastHtml:
    """The HTML read last for a variant: no answer depends on it, but how long the answer takes."""

    def __init__(self) -> None:
        self._scanned = ("", Scan())
        self._told = ("", "")

    def scan_of(self, html: str) -> Scan:
        last, found = self._scanned
        if html != last:
            found = scan(html, found)
            self._scanned = (html, found) if _is_kept(html, found) else ("", Scan())
        return found

    def text_of(self, html: str, found: Scan) -> str:
        last, text = self._told
        if html != last:
            text = plaintext(found)
            self._told = (html, text) if _is_kept(html, found) else ("", "")
        return text


def _is_kept(html: str, found: Scan) -> bool:
    """Whether this may stay in memory: that of 32 hostile emails would be gigabytes."""
    return len(html) <= _MOST_KEPT and len(found.stretches) <= _MOST_STRETCHES


@lru_cache(maxsize=_VARIANTS)
def _last_of(campaign: str, step: int, variant: str) -> _LastHtml:
    """The same one for the same variant, until too many others were asked for: nothing but the cache reads these."""
    return _LastHtml()


@lru_cache(maxsize=_VARIANTS)
def _coders_of(campaign: str, step: int, variant: str) -> tuple[LineCoder, LineCoder]:
    """Of the variant's text part and of its HTML, as `_last_of`."""
    return LineCoder(), LineCoder()


def _claim(send: Send, minted_at: datetime) -> Claim:
    try:
        delivery = UUID(send.delivery_id)
    except ValueError:
        raise Reject("bad-id", "the delivery id is not a UUID") from None
    return Claim(delivery, send.campaign, send.step, send.variant, send.lead, int(minted_at.timestamp()))


def _in_text(url: str, wrap: Callable[[str], str | None], left_alone: set[str]) -> str | None:
    """What stands for an address of the text part. What the HTML leaves alone is left alone there too."""
    if url in left_alone or PLACEHOLDER.search(url):
        return None
    instead = wrap(url)
    return None if instead is None else _html.unescape(instead)


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
    check_headers(headers)
    return [header(name, value) for name, value in headers.items()]
