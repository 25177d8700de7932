"""Where an email's pixel, links and unsubscribe lead: its campaign's address, its account's, or the installation's."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.addresses import mailbox
from schemas.events import Campaign, Send
from schemas.senders import Senders


def account_urls(senders: Senders) -> dict[str, str]:
    """The tracking addresses that accounts of `senders.toml` have of their own, by the account's address."""
    return {account.address: account.tracking_url for account in senders.accounts if account.tracking_url}


def tracking_url(send: Send, campaign: Campaign, accounts: Mapping[str, str], default: str) -> str:
    """The address that everything of this email begins with. A campaign's wins over its account's, because two
    campaigns may leave by one account. Raises Reject for a sender that is no address."""
    if campaign.tracking_url or not accounts:
        return campaign.tracking_url or default
    return accounts.get(mailbox(send.sender).address.lower(), default)
