"""Who takes part in the month of the pictures: domains, what servers refuse with, who opens, robots, what people answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decisions.clients.mail_clients import MailClients
from schemas.events import BounceClass

DOMAINS = {
    "gmail.com": 34, "outlook.com": 15, "hotmail.com": 7, "yahoo.com": 9, "icloud.com": 7, "gmx.net": 5, "web.de": 4,
    "example.org": 9, "example.net": 6, "shop.example": 4,
}  # fmt: skip
MICROSOFT = ("outlook.com", "hotmail.com")
COMPANIES = ("example.org", "example.net", "shop.example")

# class, category, status, what the server says
REFUSALS: dict[BounceClass, Sequence[tuple[str, str, str]]] = {
    "hard": (
        ("user-unknown", "5.1.1", "550 5.1.1 no such user here"),
        ("user-unknown", "5.1.1", "550 5.1.1 recipient not found"),
        ("domain-unknown", "5.1.2", "no mail server answers for this domain"),
    ),
    "soft": (
        ("mailbox-full", "5.2.2", "552 5.2.2 mailbox full"),
        ("inactive", "5.2.1", "550 5.2.1 mailbox disabled, not accepting messages"),
    ),
    "block": (
        ("reputation", "5.7.1", "550 5.7.1 sending address is on our block list"),
        ("spam", "5.7.1", "554 5.7.1 message looks like spam"),
    ),
}

# weight, verdict, reason, user agent, what it is known as, network: whoever opens
CLIENTS = (
    (
        6,
        "human",
        "mail-client",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Thunderbird/128.5.0",
        "Thunderbird",
        "",
    ),
    (9, "human", "mail-proxy", "Mozilla/5.0 (via ggpht.com GoogleImageProxy)", "Gmail image proxy", ""),
    (
        7,
        "human",
        "mail-client",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Apple Mail",
        "",
    ),
)
NAMES = MailClients.load()
BROWSER = (
    "human",
    "browser",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
    "browser",
    "",
)
APPLE = ("machine", "apple-privacy", "Mozilla/5.0", "bare Mozilla", "Apple Private Relay")
GMAIL = ("machine", "prefetch", "Mozilla/5.0 Chrome/42.0.2311.135 Edge/12.246 Mozilla/5.0", "Gmail prefetch", "")
ROBOTS = (
    (7, "bot", "scanner-network", BROWSER[2], "browser", "Microsoft Exchange Online Protection"),
    (5, "bot", "too-quick", BROWSER[2], "browser", "Barracuda Email Gateway Defense"),
    (4, "bot", "probable-network", BROWSER[2], "browser", "Proofpoint"),
    (3, "bot", "click-burst", BROWSER[2], "browser", "Mimecast"),
    (2, "bot", "scanner-agent", "Barracuda Sentinel (EE)", "Barracuda Sentinel", ""),
    (2, "bot", "library-agent", "python-requests/2.32.3", "python-requests", ""),
    (1, "bot", "preview-agent", "Slackbot-LinkExpanding 1.0", "Slack", ""),
)  # fmt: skip
STOPS: dict[str, Any] = {"asks_to_stop": True, "stop_phrase": "take us off your list", "stop_line": 1}
ANSWERS = (
    "Sounds good. Can you send the price list for 40 seats?",
    "Yes please, Thursday after lunch works for me.",
    "Not this quarter, but do ask again in January.",
    "Who else in our branch uses it?",
    "We have just signed with another vendor, sorry. Please take us off your list.",
    "Please talk to our purchasing, they decide such things.",
    "Does it work with the shop system that we have?",
    "I liked the tour. What does the next size cost?",
    "Thank you, no.",
    "Could you join our team call on Tuesday?",
    "Send me the security paper first, please.",
)

# What people choose on the unsubscribe page, the commoner ones more often; empty: nothing.
REASONS = ("too-many", "too-many", "too-many", "not-relevant", "not-relevant", "never-asked", "other", "", "")
