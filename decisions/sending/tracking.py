"""Where an email's pixel, links and unsubscribe lead: its campaign's address, its account's, or the installation's;
and what stands there for each of its links."""

from __future__ import annotations

import html as _html
from collections.abc import Callable, Mapping
from functools import lru_cache

from decisions.sending.urls import target
from decisions.sending.utm import Tags, tagged
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Campaign, Link, Send
from schemas.senders import Senders
from schemas.tokens import Keyring

# More addresses than a newsletter has: each is kept in the memory of every ingest, for good.
MAX_LINKS = 5_000
# Of so many campaigns the links are kept, so many of each, those of the usual length.
_CAMPAIGNS, _MOST_KEPT, _LONGEST_KEPT = 32, 1_000, 500


def account_urls(senders: Senders) -> dict[str, str]:
    """The tracking addresses that accounts of `senders.toml` have of their own, by the account's address."""
    return {account.address: account.tracking_url for account in senders.accounts if account.tracking_url}


def tracking_url(send: Send, campaign: Campaign, accounts: Mapping[str, str], default: str) -> str:
    """The address that everything of this email begins with. A campaign's wins over its account's, because two
    campaigns may leave by one account. Raises Reject for a sender that is no address."""
    if campaign.tracking_url or not accounts:
        return campaign.tracking_url or default
    return accounts.get(mailbox(send.sender).address.lower(), default)


def wrapper(
    campaign: str, keyring: Keyring, public_url: str, token: str, links: dict[str, Link], utm: Tags
) -> Callable[[str], str | None]:
    """What `rewrite` asks of each address: its wrapped form as source text, or None to leave it. Fills `links`. Without
    a token for clicks nothing is wrapped, and an address gets its tags alone."""
    ours = tuple(f"{public_url}/{path}/" for path in "cou")
    prefix = _html.escape(f"{public_url}/c/{token}/")
    numbers: dict[str, int] = {}
    known = _links_of(keyring.link_id(campaign, ""), public_url, utm)

    def wrap(url: str) -> str | None:
        link = links.get(url)
        if link is None:
            number = numbers.get(url, len(numbers) + 1) if utm else 0
            link = known.get((url, number)) if token else None
            if link is None:
                plain = None if url.startswith(ours) else target(url)
                if plain is None:
                    return None
                address = tagged(plain, utm, number) if utm else plain
                if not token:
                    numbers[url] = number
                    return _html.escape(address) if address != plain else None
                link = Link(link_id=keyring.link_id(campaign, address), campaign=campaign, url=address)
                _keep(known, url, number, link)
            numbers[url] = number
            if len(links) >= MAX_LINKS:
                raise Reject("too-many-links", f"more than {MAX_LINKS} different addresses")
            links[url] = link
        return prefix + link.link_id

    return wrap


def _keep(known: dict[tuple[str, int], Link], url: str, number: int, link: Link) -> None:
    if len(known) >= _MOST_KEPT:
        known.clear()
    if len(url) <= _LONGEST_KEPT:
        known[url, number] = link


@lru_cache(maxsize=_CAMPAIGNS)
def _links_of(campaign: str, public_url: str, utm: Tags) -> dict[tuple[str, int], Link]:
    """The links of a campaign's emails, by address and number: most have the same. `campaign` is a link id, which is of
    a campaign and a key."""
    return {}


def untouched(_: str) -> None:
    """No link is wrapped."""
