"""`POST /v1/instrument`: emails for a system that is not ours, and whom it must not mail."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.events import Lead, Pause
from schemas.settings import Settings
from schemas.tokens import Purpose, delivery_id
from schemas.topics import EVENTS, LEADS, LINKS, PAUSES, SENDS
from tests.ingest.room import Room, put, records, running

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
WRAPPED = re.compile(r"http://127\.0\.0\.1:8080(/c/[\w-]+/[0-9a-f]{64})")


def an_email(**changes: Any) -> dict[str, Any]:
    return {
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
        "to": "ada@example.com",
        "sender": "Garden Shop <news@example.net>",
        "html": '<p>Hello, <a href="https://example.net/seeds?a=1">the seeds are in</a></p>',
    } | changes


async def declare(room: Room, **options: Any) -> None:
    answer = await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring launch", **options})
    assert answer.status_code in (200, 201)


async def asked(room: Room, *emails: dict[str, Any]) -> dict[str, Any]:
    answer = await room.client.post("/v1/instrument", json={"sends": list(emails)})
    assert answer.status_code in (200, 422), answer.text
    found: dict[str, Any] = answer.json()
    return found


async def skipped(room: Room, **changes: Any) -> list[str]:
    return [one["reason"] for one in (await asked(room, an_email(**changes)))["skipped"]]


async def test_the_email_comes_back_with_pixel_links_headers_and_return_path(room: Room) -> None:
    await declare(room)
    answer = await asked(room, an_email())
    [email] = answer["emails"]
    assert (answer["skipped"], answer["rejected"]) == ([], [])
    assert email["delivery_id"] == str(delivery_id("spring", 1, "lead-1"))

    keyring = room.settings.keyring
    pixel = re.search(r"/o/([\w-]+)\.gif", email["html"])
    assert pixel is not None
    claim = keyring.verify(Purpose.OPEN, pixel[1])
    assert (claim.campaign, claim.step, claim.variant, claim.lead) == ("spring", 1, "A", "lead-1")
    assert set(email["headers"]) == {"Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post"}
    message = email["headers"]["Message-ID"].strip("<>").split("@")
    assert keyring.verify(Purpose.MESSAGE, message[0]).delivery_id == claim.delivery_id
    assert message[1] == room.settings.envelope_domain
    unsubscribe = re.match(r"<http://127\.0\.0\.1:8080/u/([\w-]+)>, <mailto:", email["headers"]["List-Unsubscribe"])
    assert unsubscribe is not None
    assert keyring.verify(Purpose.UNSUBSCRIBE, unsubscribe[1]).lead == "lead-1"
    assert email["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    local, _, domain = email["return_path"].partition("@")
    assert domain == room.settings.envelope_domain
    assert str(keyring.verify_bounce(local.removeprefix("bounce+")).delivery_id) == email["delivery_id"]
    assert "the seeds are in" in email["text"]
    assert "/u/" in email["text"]


async def test_its_links_are_on_the_topic_when_it_is_answered_and_redirect(room: Room) -> None:
    await declare(room)
    [email] = (await asked(room, an_email()))["emails"]
    [link] = records(room.settings, LINKS)
    found = WRAPPED.search(email["html"])
    assert found is not None
    assert link.key.decode() == found[1].rpartition("/")[2]
    click = await room.client.get(found[1])
    assert (click.status_code, click.headers["location"]) == (302, "https://example.net/seeds?a=1")
    await asked(room, an_email(lead="lead-2"))
    assert len(records(room.settings, LINKS)) == 1  # known by now


async def test_nothing_is_sent_and_nothing_has_happened(room: Room) -> None:
    await declare(room)
    await asked(room, an_email())
    assert records(room.settings, SENDS) == records(room.settings, EVENTS) == []


async def test_its_tokens_let_nobody_take_an_open_for_one_before_delivery(room: Room) -> None:
    """Nobody may ever tell that it was delivered: the judge must not conclude anything from that."""
    await declare(room)
    [email] = (await asked(room, an_email()))["emails"]
    pixel = re.search(r"/o/([\w-]+)\.gif", email["html"])
    assert pixel is not None
    minted_at = room.settings.keyring.verify(Purpose.OPEN, pixel[1]).minted_at
    assert datetime.now(UTC).timestamp() - minted_at >= 600


@pytest.mark.parametrize(
    ("option", "gone"), [({"track_opens": False}, r"/o/"), ({"track_clicks": False}, r"/c/")], ids=["opens", "clicks"]
)
async def test_what_the_campaign_does_not_track_is_left_alone(room: Room, option: dict[str, Any], gone: str) -> None:
    await declare(room, **option)
    [email] = (await asked(room, an_email()))["emails"]
    assert re.search(gone, email["html"]) is None


async def test_links_of_the_text_are_wrapped_where_the_campaign_says_so(room: Room) -> None:
    await declare(room, wrap_text_links=True)
    [email] = (await asked(room, an_email(html="", text="See https://example.net/seeds.")))["emails"]
    assert WRAPPED.search(email["text"])
    assert email["html"] == ""


@pytest.mark.parametrize("fact", ["unsubscribed", "invalid", "complained", "erased"])
async def test_a_lead_that_gets_no_mail_is_skipped_with_the_reason(room: Room, fact: Any) -> None:
    await declare(room)
    known = Lead(lead="lead-1", fact=fact, at=NOW)
    put(room.settings, LEADS, known.key, known)
    assert await skipped(room) == [fact]
    assert await skipped(room, lead="lead-2") == []
    taken_back = Lead(lead="lead-1", fact=fact, at=NOW, holds=False)
    put(room.settings, LEADS, taken_back.key, taken_back)
    assert await skipped(room) == []


async def test_an_address_that_gets_no_mail_is_skipped_under_every_lead(room: Room) -> None:
    await declare(room)
    known = Lead(lead=room.settings.keyring.address_ids("ada@example.com")[1], fact="invalid", at=NOW, of="address")
    put(room.settings, LEADS, known.key, known)
    assert await skipped(room, lead="lead-9", to="Ada@Example.com") == ["invalid"]
    assert await skipped(room, lead="lead-9", to="grace@example.com") == []


async def test_an_erased_lead_is_known_by_the_hash_of_its_id_alone(room: Room) -> None:
    await declare(room)
    known = Lead(lead=room.settings.keyring.lead_ids("lead-1")[0], fact="erased", at=NOW, of="hashed-lead")
    put(room.settings, LEADS, known.key, known)
    assert await skipped(room, to="other@example.com") == ["erased"]


async def test_a_fact_that_was_buried_holds_no_more(room: Room) -> None:
    await declare(room)
    known = Lead(lead="lead-1", fact="invalid", at=NOW)
    put(room.settings, LEADS, known.key, known)
    assert await skipped(room) == ["invalid"]
    put(room.settings, LEADS, known.key, None)
    assert await skipped(room) == []


async def test_who_has_replied_gets_no_later_step_of_a_campaign_that_checks(room: Room) -> None:
    await declare(room, check_reply=True)
    known = Lead(lead="lead-1", fact="replied", at=NOW, campaign="spring")
    put(room.settings, LEADS, known.key, known)
    assert await skipped(room, step=2) == ["replied"]


async def test_an_unsubscribe_counts_for_the_next_request(room: Room) -> None:
    await declare(room)
    [email] = (await asked(room, an_email()))["emails"]
    url = email["headers"]["List-Unsubscribe"].partition(">")[0].removeprefix("<")
    done = await room.client.post(url, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    assert await skipped(room, step=2) == ["unsubscribed"]


async def test_a_paused_campaign_is_skipped(room: Room) -> None:
    await declare(room)
    put(room.settings, PAUSES, "spring", Pause(campaign="spring", paused=True, at=NOW, reason="operator"))
    assert await skipped(room) == ["paused"]


async def test_each_email_of_a_batch_is_answered_by_itself(room: Room) -> None:
    await declare(room)
    known = Lead(lead="lead-2", fact="complained", at=NOW)
    put(room.settings, LEADS, known.key, known)
    answer = await asked(
        room, an_email(), an_email(lead="lead-2"), an_email(campaign="autumn"), an_email(to="nowhere"), {"step": 1}
    )
    assert [one["index"] for one in answer["emails"]] == [0]
    assert [(one["index"], one["reason"]) for one in answer["skipped"]] == [(1, "complained")]
    reasons = [(one["index"], one["reason"]) for one in answer["rejected"]]
    assert reasons == [(2, "campaign-unknown"), (3, "address-invalid"), (4, "malformed")]
    assert await room.counted("sendlens_instrumented_total", result="instrumented") == 1
    assert await room.counted("sendlens_instrumented_total", result="complained") == 1
    assert await room.counted("sendlens_instrumented_total", result="address-invalid") == 1


@pytest.mark.parametrize("field", [{"amp": "<html amp4email>"}, {"images": []}])
async def test_parts_that_the_own_system_adds_by_itself_are_named_and_not_dropped(
    room: Room, field: dict[str, Any]
) -> None:
    await declare(room)
    [why] = (await asked(room, an_email(**field)))["rejected"]
    assert (why["reason"], f"unknown field `{next(iter(field))}`" in why["detail"]) == ("malformed", True)


@pytest.mark.parametrize("number", [0, 101])
async def test_a_batch_has_one_to_a_hundred_emails(room: Room, number: int) -> None:
    answer = await room.client.post("/v1/instrument", json={"sends": [an_email()] * number})
    assert answer.status_code == 400
    assert answer.json()["reason"] == "batch-size"


async def test_the_same_key_gets_the_same_tokens_again(room: Room) -> None:
    await declare(room)
    first, again = [
        await room.client.post("/v1/instrument", json={"sends": [an_email()]}, headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.json() == again.json()


async def test_bounces_of_an_account_come_back_to_its_own_domain(settings: Settings) -> None:
    path = settings.data_dir / "senders.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '[[account]]\naddress = "news@example.net"\nenvelope_domain = "back.example.net"\n'
        '[account.imap]\nhost = "imap.example.net"\npassword_env = "NOT_READ_HERE"\n'
    )
    async with running(settings.model_copy(update={"senders": path})) as room:
        await room.until_ready()
        await declare(room)
        [email] = (await asked(room, an_email()))["emails"]
        [other] = (await asked(room, an_email(sender="other@example.net")))["emails"]
    assert email["return_path"].endswith("@back.example.net")
    assert email["headers"]["Message-ID"].endswith("@back.example.net>")
    assert other["return_path"].endswith(f"@{settings.envelope_domain}")


async def test_it_takes_a_key_with_the_scope_sends(settings: Settings) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        assert (await room.client.post("/v1/instrument", json={"sends": [an_email()]})).status_code == 401


async def test_a_large_email_is_made_in_another_process_and_comes_back_as_any(room: Room) -> None:
    await declare(room)
    html = f"<p>{'Hello, ' * 10_000}<a href='https://example.net/seeds'>the seeds are in</a></p>"
    answer = await asked(room, an_email(html=html), an_email(lead="lead-2", variant="v" * 65, html=html))
    [email] = answer["emails"]
    assert WRAPPED.search(email["html"])
    assert email["text"].startswith("Hello, Hello,")
    [rejected] = answer["rejected"]
    assert (rejected["index"], rejected["reason"]) == (1, "malformed")
    links = [one for one in records(room.settings, LINKS) if b"example.net/seeds" in one.value]
    assert len(links) == 1
