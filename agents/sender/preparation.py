"""Makes an email ready to leave: instrumented, signed, its links known to every ingest, the views current."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agents.sender.accounts import Route
from agents.sender.announced_links import AnnouncedLinks
from agents.sender.outage import Outage
from agents.sender.sender_state import SenderState
from decisions.sending.footer import FooterWords
from decisions.sending.instrument import Instrumented, instrument
from decisions.sending.tracking import tracking_url
from decisions.sending.utm import tags_of
from schemas.errors import Reject
from schemas.events import Send
from schemas.languages import footer_words
from schemas.settings import Settings

# A view is renewed several times a second. One older than this may hide an unsubscribe, or that the broker has given
# our partitions to another worker, which it does after 6 s of silence at the earliest.
STALE_SECONDS = 3.0
# Half of what the judge allows from a token's minting to the mail server's yes (agents/judge/judge.py).
FRESH = timedelta(minutes=5)
# Characters of html and text that are instrumented on the event loop: nearly all emails, 5 ms of them at the usual.
_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class PreparedEmail:
    """An email ready to go, and when its tokens were minted."""

    mail: Instrumented
    at: datetime


class EmailPreparer:
    """`views` is what waits while the state topics lag; `tracking` are the accounts' own tracking addresses."""

    def __init__(
        self,
        settings: Settings,
        tracking: Mapping[str, str],
        sender_state: SenderState,
        links: AnnouncedLinks,
        views: Outage,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._tracking = tracking
        self._sender_state = sender_state
        self._links = links
        self._views = views
        self._clock = clock
        self._words = FooterWords(footer_words(settings), settings.language.lower())

    async def prepare(self, send: Send, route: Route, before: PreparedEmail | None) -> PreparedEmail:
        """The email, made again when `before`, or all that is waited for here, took long: the judge knows by a token's
        age that an email can't have been delivered yet. Raises Stopped; Reject when it can't be made."""
        made = before
        while True:
            if made is None or self._clock() - made.at > FRESH:
                now = self._clock()
                if len(send.html) + len(send.text) > _AT_ONCE:
                    mail = await asyncio.to_thread(self._instrument, send, route, now)
                else:
                    mail = self._instrument(send, route, now)
                if route.sign is not None:  # in a thread: dkimpy takes some 20 ms, and others need the loop
                    mail = replace(mail, message=await asyncio.to_thread(route.sign, mail.message))
                made = PreparedEmail(mail, now)
            await self._links.announce(made.mail.links)
            await self._sender_state.show(self._clock().timestamp() - STALE_SECONDS, self._views)
            if self._clock() - made.at <= FRESH:
                return made

    def _instrument(self, send: Send, route: Route, now: datetime) -> Instrumented:
        settings, campaign = self._settings, self._sender_state.campaigns.get(send.campaign)
        if campaign is None:
            raise Reject("unknown-campaign", send.campaign)
        return instrument(
            send,
            settings.keyring,
            public_url=tracking_url(send, campaign, self._tracking, settings.public_url),
            envelope_domain=route.account.envelope_domain,
            now=now,
            unsubscribe_word=self._words.of(send.html),
            honeypot=settings.honeypot,
            track_opens=campaign.track_opens,
            track_clicks=campaign.track_clicks,
            wrap_text_links=campaign.wrap_text_links,
            pixel=campaign.pixel,
            utm=tags_of(campaign, send.step, send.variant),
            provider=route.account.smtp.provider if route.account.smtp else None,
        )
