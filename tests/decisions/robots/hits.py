"""Hits to judge, made of what a test wants to say and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from schemas.events import Hit

DELIVERED = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
)
GMAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.9.0"


def hit(**what: Any) -> Hit:
    """A person's open by Chrome, an hour after delivery, except for what is given."""
    base: dict[str, Any] = {
        "id": "7b1f6b0a-4f53-4b7e-9a55-0c9a3f1d2e01",
        "kind": "open",
        "at": DELIVERED.replace(hour=11),
        "delivery_id": "0e6d3c1e-92a8-5a3f-8a34-6a2f5b1c7d02",
        "campaign": "spring",
        "step": 1,
        "variant": "a",
        "lead": "lead-1",
        "minted_at": DELIVERED,
        "user_agent": CHROME,
        "ip": "203.0.113.9",
    }
    return Hit(**{**base, **what})
