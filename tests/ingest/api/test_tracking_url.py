"""`POST /v1/instrument` by the campaign's tracking address, the account's, or the installation's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from schemas.settings import Settings
from tests.ingest.api.test_instrument import an_email, asked, declare
from tests.ingest.room import Room, running

OURS = re.compile(r"https?://[^\"<>\s]+?(?=/[ocu]/)")
PUBLIC, SHOP, SPRING = "https://t.example.com", "https://t.shop.example/mail", "https://t.spring.example"
SENDERS = (
    f'[[account]]\naddress = "news@example.net"\ntracking_url = "{SHOP}"\n'
    '[account.imap]\nhost = "imap.example"\npassword_env = "X"\n'
)


async def origins(room: Room, **changes: Any) -> set[str]:
    """What everything of an email that leads to us begins with."""
    html = an_email()["html"] + "<p>" + "x" * changes.pop("length", 0)
    answer = await asked(room, an_email(html=html, text="See https://example.net/seeds", **changes))
    [email] = answer["emails"]
    parts = email["html"], email["text"], email["headers"]["List-Unsubscribe"]
    found = [url for part in parts for url in OURS.findall(part)]
    assert len(found) >= 5, "pixel, link, unsubscribe in html and text, and the header"
    return set(found)


async def test_a_campaigns_address_wins_over_its_accounts_and_that_over_the_settings(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "senders.toml").write_text(SENDERS)
    changes = {"senders": tmp_path / "senders.toml", "public_url": PUBLIC}
    async with running(settings.model_copy(update=changes)) as room:
        await room.until_ready()
        await declare(room, wrap_text_links=True)
        for length in (0, 20_000):  # in this process, and in one of its own
            assert await origins(room, sender="other@example.net", length=length) == {PUBLIC}
            assert await origins(room, sender="News <News@example.net>", length=length) == {SHOP}
        await declare(room, wrap_text_links=True, tracking_url=SPRING)
        for length in (0, 20_000):
            assert await origins(room, sender="other@example.net", length=length) == {SPRING}
            assert await origins(room, sender="news@example.net", length=length) == {SPRING}
