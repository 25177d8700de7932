"""`/v1/suppressions`: the one list of who gets no mail, on a real broker and a real ClickHouse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from clickhouse.store import connect, insert_lines
from decisions.effects.suppress import left
from schemas.events import Lead, Sent, lines, to_ms
from schemas.keys import new_key
from schemas.settings import Settings
from schemas.tokens import delivery_id, event_id
from schemas.topics import LEADS
from tests.ingest.api.test_instrument import declare, skipped
from tests.ingest.room import Room, put, records, running

ADA = "ada@example.com"
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
async def listing(settings: Settings, own_database: Settings) -> AsyncIterator[Room]:
    """A room whose ClickHouse has no fact yet."""
    where = {"clickhouse_url": own_database.clickhouse_url, "clickhouse_database": own_database.clickhouse_database}
    asked = settings.model_copy(update=where)
    with connect(asked) as client:
        for table in ("lead_facts", "events"):
            client.command(f"TRUNCATE TABLE {table}")
    async with running(asked) as room:
        await room.until_ready()
        yield room


def store(room: Room) -> list[Lead]:
    """What the stage `store` does with the topic; returns what it holds."""
    held = [msgspec.json.decode(record.value, type=Lead) for record in records(room.settings, LEADS)]
    with connect(room.settings) as client:
        insert_lines(client, "lead_facts", lines(held))
    return held


async def suppress(room: Room, *entries: dict[str, Any]) -> dict[str, Any]:
    answer = await room.client.post("/v1/suppressions", json={"suppressions": list(entries)})
    assert answer.status_code in (200, 422), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def listed(room: Room, **asked: Any) -> list[dict[str, Any]]:
    answer = await room.client.get("/v1/suppressions", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["suppressions"]
    return found


async def test_who_is_suppressed_gets_no_mail_from_then_on(listing: Room) -> None:
    await declare(listing)
    assert await skipped(listing) == []
    answer = await suppress(listing, {"address": f"Ada <{ADA}>"}, {"domain": "example.org"}, {"lead": "lead-9"})
    assert answer == {"added": 3, "already": 0, "rejected": []}
    assert await skipped(listing) == ["suppressed"]
    assert await skipped(listing, to="bob@eu.example.org") == ["suppressed"]
    assert await skipped(listing, to="bob@example.com", lead="lead-9") == ["suppressed"]
    assert await skipped(listing, to="bob@example.com") == []
    told = store(listing)
    assert {(fact.of, fact.source) for fact in told} == {("address", "api"), ("domain", "api"), ("lead", "api")}
    assert "example" not in str(told)


async def test_each_entry_is_taken_or_rejected_by_itself_and_once(listing: Room) -> None:
    entries = [{"address": ADA, "reason": "complained"}, {"address": "ada"}, {"addres": ADA}, {"address": ADA.upper()}]
    answer = await suppress(listing, *entries, {"address": ADA, "reason": "complained"})
    assert (answer["added"], answer["already"]) == (2, 1)
    assert [(one["index"], one["reason"]) for one in answer["rejected"]] == [(1, "address-invalid"), (2, "malformed")]
    assert await suppress(listing, *entries[:1]) == {"added": 0, "already": 1, "rejected": []}
    assert len(store(listing)) == 2
    assert await listing.counted("sendlens_suppressions_total", result="address-invalid") == 1
    answer = (await listing.client.post("/v1/suppressions", json={"suppressions": []})).json()
    assert answer["reason"] == "batch-size"


async def test_a_pause_ends_by_itself(listing: Room) -> None:
    await declare(listing)
    keyring, now = listing.settings.keyring, datetime.now(UTC)
    over = Lead(lead="lead-7", fact="snoozed", at=NOW, source="page", until=now - timedelta(seconds=1))
    put(listing.settings, LEADS, over.key, over)
    until = to_ms(now + timedelta(days=30))
    pause = {"address": ADA, "reason": "snoozed", "until": until.isoformat()}
    assert await suppress(listing, pause) == {"added": 1, "already": 0, "rejected": []}
    assert await suppress(listing, pause) == {"added": 0, "already": 1, "rejected": []}
    assert await skipped(listing) == ["snoozed"]
    assert await skipped(listing, to="bob@example.com", lead="lead-7") == []
    later = {**pause, "until": (until + timedelta(days=1)).isoformat()}
    assert (await suppress(listing, later))["added"] == 1
    answer = await suppress(listing, {"address": ADA, "reason": "snoozed"}, {"lead": "lead-1", "until": later["until"]})
    assert {one["reason"] for one in answer["rejected"]} == {"until-invalid"}
    store(listing)
    (row,) = await listed(listing)
    assert (row["id"], row["reason"]) == (keyring.address_ids(ADA)[0], "snoozed")
    assert datetime.fromisoformat(row["until"]) == until + timedelta(days=1)
    assert (await listing.client.delete("/v1/suppressions", params={"address": ADA})).status_code == 200
    assert await skipped(listing) == []


async def test_the_list_is_the_guards_page_by_page(listing: Room) -> None:
    """What a bounce or an unsubscribe made known stands beside what was suppressed here."""
    keyring = listing.settings.keyring
    dead = Lead(lead=keyring.address_ids(ADA)[0], fact="invalid", at=NOW, of="address", source="bounce")
    back = Lead(lead="lead-1", fact="unsubscribed", at=NOW, holds=False)
    for fact in (dead, back, Lead(lead="lead-2", fact="replied", at=NOW, campaign="spring")):
        put(listing.settings, LEADS, fact.key, fact)
    since = (NOW - timedelta(days=1000)).isoformat()
    await suppress(listing, *({"lead": f"lead-{n:02}", "source": "old list", "since": since} for n in range(20)))
    await suppress(listing, {"address": ADA}, {"domain": "example.org"})
    store(listing)

    pages, cursor = [], ""
    while cursor is not None:
        asked = {"limit": 7, "cursor": cursor}
        answer = (await listing.client.get("/v1/suppressions", params=asked)).json()
        pages.append(answer["suppressions"])
        cursor = answer["next"]
    assert [len(page) for page in pages] == [7, 7, 7, 2]
    assert [row for page in pages for row in page] == await listed(listing, limit=1000)
    assert len(await listed(listing, source="old list")) == 20
    assert {row["since"][:4] for row in await listed(listing, of="lead")} == {since[:4]}
    assert [(row["reason"], row["source"]) for row in await listed(listing, address=ADA)] == [
        ("invalid", "bounce"),
        ("suppressed", "api"),
    ]
    assert [row["of"] for row in await listed(listing, domain="example.org")] == ["domain"]
    (ada,) = await listed(listing, address=ADA, reason="invalid")
    assert await listed(listing, id=ada["id"], reason="invalid") == [ada]
    assert await listed(listing, address="bob@example.com") == []


async def test_who_left_a_list_stands_there_with_its_name(listing: Room) -> None:
    """Page by page too, where one lead left several; not those that it is back on."""
    address = listing.settings.keyring.address_ids(ADA)[0]
    gone = [left(NOW, name, "lead-1", back=False) for name in ("Seeds", "Tools", "Offers")]
    back = [left(NOW, "Bulbs", "lead-1", back=True)]
    for fact in (*gone, *back, left(NOW, "Seeds", address, back=False, of="address")):
        put(listing.settings, LEADS, fact.key, fact)
    await suppress(listing, {"lead": "lead-1"})
    store(listing)
    rows, cursor = [], ""
    while cursor is not None:
        page = (await listing.client.get("/v1/suppressions", params={"limit": 1, "cursor": cursor})).json()
        rows += page["suppressions"]
        cursor = page["next"]
    assert [(row["id"], row["reason"], row["list"]) for row in rows] == [
        (address, "left", "Seeds"),
        ("lead-1", "left", "Offers"),
        ("lead-1", "left", "Seeds"),
        ("lead-1", "left", "Tools"),
        ("lead-1", "suppressed", ""),
    ]
    assert await listed(listing) == rows
    assert [row["list"] for row in await listed(listing, address=ADA, reason="left")] == ["Seeds"]
    answer = await listing.client.delete("/v1/suppressions", params={"lead": "lead-1"})
    assert [one["reason"] for one in answer.json()["removed"]] == ["suppressed"]
    store(listing)
    assert len(await listed(listing, lead="lead-1", reason="left")) == 3


async def test_who_is_taken_off_gets_mail_again_under_every_lead(listing: Room) -> None:
    await declare(listing)
    keyring, delivery = listing.settings.keyring, delivery_id("spring", 0, "lead-1")
    old = Lead(lead=keyring.address_ids(ADA)[1], fact="invalid", at=NOW, of="address")  # by a key that was rotated
    own = Lead(lead="lead-1", fact="invalid", at=NOW)
    for fact in (old, own):
        put(listing.settings, LEADS, fact.key, fact)
    sent = Sent(
        id=str(event_id(delivery, "sent")),
        at=NOW,
        delivery_id=str(delivery),
        campaign="spring",
        step=0,
        variant="",
        lead="lead-1",
        sender="news@example.net",
        recipient_domain="example.com",
        message_id="<1@example.net>",
        address=keyring.address_ids(ADA)[1],
    )
    with connect(listing.settings) as client:
        insert_lines(client, "events", lines([sent]))
    await suppress(listing, {"address": ADA})
    store(listing)
    assert await skipped(listing) == ["invalid"]

    answer = await listing.client.delete("/v1/suppressions", params={"address": ADA})
    assert sorted((one["of"], one["reason"]) for one in answer.json()["removed"]) == [
        ("address", "invalid"),
        ("address", "suppressed"),
        ("lead", "invalid"),
    ]
    assert await skipped(listing) == []
    store(listing)
    assert await listed(listing) == []
    again = await listing.client.delete("/v1/suppressions", params={"address": ADA})
    assert again.status_code == 404


async def test_who_was_erased_stays_so(listing: Room) -> None:
    keyring = listing.settings.keyring
    for fact in (
        Lead(lead=keyring.address_ids(ADA)[0], fact="erased", at=NOW, of="address"),
        Lead(lead=keyring.lead_ids("lead-1")[0], fact="erased", at=NOW, of="hashed-lead"),
    ):
        put(listing.settings, LEADS, fact.key, fact)
    for whom in ({"address": ADA}, {"lead": "lead-1"}):
        answer = await listing.client.delete("/v1/suppressions", params=whom)
        assert (answer.status_code, answer.json()["reason"]) == (409, "erased")


@pytest.mark.parametrize("asked", [{}, {"address": ADA, "lead": "lead-1"}, {"address": "ada"}, {"id": "'; DROP"}])
async def test_whom_to_take_off_is_to_be_said_clearly(listing: Room, asked: dict[str, str]) -> None:
    assert (await listing.client.delete("/v1/suppressions", params=asked)).status_code == 422


async def test_it_takes_a_key_with_its_scope_and_says_whose_it_was(settings: Settings) -> None:
    key, kept = new_key()
    _, other = new_key()
    keyed = settings.model_copy(
        update={"api_keys": f"crm=suppressions={kept},shop=sends={other}", "ingest_host": "127.0.0.1"}
    )
    async with running(keyed) as room:
        await room.until_ready()
        entry = {"suppressions": [{"lead": "lead-1"}]}
        assert (await room.client.post("/v1/suppressions", json=entry)).status_code == 401
        bearer = {"Authorization": f"Bearer {key}"}
        assert (await room.client.post("/v1/suppressions", json=entry, headers=bearer)).status_code == 200
        (fact,) = [msgspec.json.decode(one.value, type=Lead) for one in records(keyed, LEADS)]
        assert fact.source == "api:crm"
