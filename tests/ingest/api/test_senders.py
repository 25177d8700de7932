"""`GET /v1/senders`: how healthy senders are, as ClickHouse says, and what is said while it is away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clickhouse.store import connect, insert_lines
from schemas.events import Bounced, Delivered, Event, Sent, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id, event_id
from tests.ingest.room import running
from tests.support.migrated import start_migrated
from tests.support.processes import free_port

AT = datetime(2026, 11, 23, tzinfo=UTC)


def of(lead: str, kind: str, sender: str) -> dict[str, Any]:
    delivery = delivery_id("spring", 1, lead)
    return {
        "id": str(event_id(delivery, kind)),
        "at": AT,
        "delivery_id": str(delivery),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": lead,
        "sender": sender,
    }


def some_events() -> list[Event]:
    well, ill = "well@example.net", "ill@example.net"
    emails = [("a", well), ("b", well), ("c", ill), ("d", ill)]
    sent: list[Event] = [
        Sent(**of(lead, "sent", sender), recipient_domain="example.com", message_id="<1@example.com>")
        for lead, sender in emails
    ]
    refused = Bounced(**of("d", "bounce", ill), bounce_class="hard", category="", status="5.1.1", diagnostic="no")
    return [*sent, *(Delivered(**of(lead, "delivered", sender)) for lead, sender in emails[:3]), refused]


async def test_the_least_healthy_sender_comes_first(settings: Settings, tmp_path: Path) -> None:
    server = start_migrated(tmp_path / "clickhouse")
    try:
        asked = settings.model_copy(update={"clickhouse_url": server.url})
        with connect(asked) as client:
            insert_lines(client, "events", lines(some_events()))
        async with running(asked) as room:
            answer = await room.client.get("/v1/senders")
        assert answer.status_code == 200
        nothing = {"hard_bounced": 0, "soft_bounced": 0, "blocked": 0}
        assert answer.json() == {
            "senders": [
                {"sender": "ill@example.net", "health": 85, "sent": 2, **nothing, "hard_bounced": 1},
                {"sender": "well@example.net", "health": 100, "sent": 2, **nothing},
            ]
        }
    finally:
        server.kill()


async def test_while_clickhouse_is_away_it_says_so(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free_port()}"})
    async with running(nowhere) as room:
        answer = await room.client.get("/v1/senders")
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


async def test_it_takes_a_key_with_the_scope_campaigns(settings: Settings) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        assert (await room.client.get("/v1/senders")).status_code == 401
