"""For a platform that sends through a system of its own: its emails, by the sender's own gate and with its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from decisions.robots.rejudging import LONGEST_TRANSACTION
from decisions.sending.footer import FooterWords
from decisions.sending.gate import Fact, Proceed, Skip, gate
from decisions.sending.instrument import parts_of
from decisions.sending.tracking import account_urls, tracking_url
from decisions.sending.utm import tags_of
from schemas.addresses import mailbox
from schemas.events import (
    Campaign,
    Link,
    Pause,
    Send,
)
from schemas.languages import footer_words
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.tokens import Keyring


@dataclass(frozen=True, slots=True)
class ReadyEmail:
    """An email for the platform's own mail server. `links` must be known before it leaves."""

    html: str
    text: str
    headers: dict[str, str]
    return_path: str
    links: list[Link]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Withheld:
    """This lead must not get this email, in the gate's word."""

    reason: str


def withheld(
    send: Send,
    campaign: Campaign,
    pause: Pause | None,
    fact: Callable[[str], Fact | None],
    *,
    keyring: Keyring,
    now: datetime,
) -> Withheld | None:
    """Why this lead must not get the email, None where it may. Raises Reject for an invalid address."""
    to = mailbox(send.to)
    verdict = gate(
        send,
        campaign,
        pause,
        fact,
        keyring.address_ids(to.address),
        None,
        lead_ids=keyring.lead_ids(send.lead),
        domains=keyring.domain_ids(to.domain),
        now=now,
    )
    if isinstance(verdict, Skip):
        return Withheld(verdict.reason)
    if not isinstance(verdict, Proceed):
        raise TypeError("an email that nobody sent was answered as if somebody had")
    return None


def instrumented(
    send: Send,
    campaign: Campaign,
    now: datetime,
    *,
    keyring: Keyring,
    public_url: str,
    envelope_domain: str,
    honeypot: bool,
    unsubscribe_word: str,
) -> ReadyEmail:
    """The email to send. Raises Reject for what can't become one.

    Its tokens say that they are older than they are. An email of ours that the mail server has not taken a few minutes
    after its tokens were made can't have been opened, so the judge calls that a robot; of this one nobody may ever
    tell us that it was delivered, and then nothing follows from that.
    """
    parts = parts_of(
        send,
        keyring,
        public_url=public_url,
        envelope_domain=envelope_domain,
        minted_at=now - LONGEST_TRANSACTION,
        unsubscribe_word=unsubscribe_word,
        honeypot=honeypot,
        track_opens=campaign.track_opens,
        track_clicks=campaign.track_clicks,
        wrap_text_links=campaign.wrap_text_links,
        pixel=campaign.pixel,
        utm=tags_of(campaign, send.step, send.variant),
    )
    return ReadyEmail(parts.html, parts.text, parts.headers, parts.return_path, parts.links, parts.warnings)


def instrumented_at(minted_at: int) -> datetime:
    """When such an email was made, of what its tokens say: to the second, and the same in all of them."""
    return datetime.fromtimestamp(minted_at, UTC) + LONGEST_TRANSACTION


class InstrumentTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an email is instrumented by, apart from the request. `domains` are those of the accounts, by address, and
    `tracking` the tracking addresses that some have of their own; `footer` has the unsubscribe link's words by
    language."""

    keys: dict[int, bytes]
    public_url: str
    envelope_domain: str
    domains: dict[str, str]
    tracking: dict[str, str]
    honeypot: bool
    footer: dict[str, str]
    language: str


def terms_of(settings: Settings, senders: Senders) -> InstrumentTerms:
    """What comes back goes to the sender's own return path where `senders.toml` knows one: that mailbox is read."""
    return InstrumentTerms(
        keys=dict(settings.keyring.keys),
        public_url=settings.public_url,
        envelope_domain=settings.envelope_domain,
        domains={account.address: account.envelope_domain for account in senders.accounts},
        tracking=account_urls(senders),
        honeypot=settings.honeypot,
        footer=footer_words(settings),
        language=settings.language.lower(),
    )


def instrumenting(terms: InstrumentTerms) -> Callable[[Send, Campaign, datetime], ReadyEmail]:
    """What makes emails on these terms."""
    keyring, words = Keyring(terms.keys), FooterWords(terms.footer, terms.language)

    def instrument(send: Send, campaign: Campaign, now: datetime) -> ReadyEmail:
        sender = mailbox(send.sender).address.lower()
        return instrumented(
            send,
            campaign,
            now,
            keyring=keyring,
            public_url=tracking_url(send, campaign, terms.tracking, terms.public_url),
            envelope_domain=terms.domains.get(sender, terms.envelope_domain),
            honeypot=terms.honeypot,
            unsubscribe_word=words.of(send.html),
        )

    return instrument
