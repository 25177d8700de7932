"""Pixels and links: what is answered, what is recorded, and what is neither."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.hits.hits import PIXEL, clean
from schemas.settings import Settings
from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from schemas.topics import HITS, LINKS, delivery_partition
from tests.ingest.room import CLAIM, Room, add_link, hits, put, records, running


async def test_an_open_is_answered_with_the_pixel_and_recorded_with_all_its_token_proves(room: Room) -> None:
    before = datetime.now(UTC)
    answer = await room.client.get(f"/o/{room.token(Purpose.OPEN)}.gif", headers={"User-Agent": "Thunderbird/128"})

    assert answer.status_code == 200
    assert answer.content == PIXEL
    assert len(PIXEL) == 43
    assert answer.headers["content-type"] == "image/gif"
    assert "no-store" in answer.headers["cache-control"]
    [hit] = hits(room.settings)
    assert (hit.kind, hit.method, hit.user_agent, hit.ip) == ("open", "GET", "Thunderbird/128", "192.0.2.7")
    assert (hit.campaign, hit.step, hit.variant, hit.lead) == ("spring", 1, "A", "lead-1")
    assert hit.delivery_id == str(CLAIM.delivery_id)
    assert hit.minted_at.timestamp() == CLAIM.minted_at
    assert hit.link_id == ""
    assert hit.at.microsecond % 1000 == 0
    assert before.timestamp() - 0.001 <= hit.at.timestamp() <= datetime.now(UTC).timestamp()
    assert await room.counted("sendlens_hits_total", kind="open", result="recorded") == 1


async def test_a_click_is_recorded_and_then_redirected_to_the_link_that_was_in_the_mail(room: Room) -> None:
    link = add_link(room.settings, "https://example.com/offer?a=1&b=%C3%BC#top")
    answer = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")

    assert answer.status_code == 302
    assert answer.headers["location"] == "https://example.com/offer?a=1&b=%C3%BC#top"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in answer.headers["cache-control"]
    [hit] = hits(room.settings)
    assert (hit.kind, hit.link_id, hit.lead) == ("click", link, "lead-1")


@pytest.mark.parametrize(
    "more", [")", ".", ">", "]", '"', "'", ",", "%20", "%3E", "%0A", "”", "。", "_", "/", "=20", ").%20x"]
)
async def test_what_got_into_the_address_behind_a_link_is_no_part_of_it(room: Room, more: str) -> None:
    link = add_link(room.settings, "https://example.com/offer")
    answer = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}{more}")

    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.com/offer")
    assert hits(room.settings)[0].link_id == link


@pytest.mark.parametrize("more", ["0", "a", "Z"])
async def test_a_longer_link_id_is_another(room: Room, more: str) -> None:
    link = add_link(room.settings, "https://example.com/offer")
    assert (await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}{more}")).status_code == 404


@pytest.mark.parametrize("url", ["HTTPS://example.com/a", "Http://example.com", "hTTps://EXAMPLE.com:8443/a"])
async def test_a_scheme_has_no_case(room: Room, url: str) -> None:
    answer = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{add_link(room.settings, url)}")
    assert (answer.status_code, answer.headers["location"]) == (302, url)


async def test_a_link_younger_than_the_map_is_waited_for_and_not_called_unknown(room: Room) -> None:
    await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{'0' * 64}")  # the map has been current before now
    link = add_link(room.settings, "https://example.com/new")

    assert (await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")).status_code == 302


@pytest.mark.parametrize(
    ("link_campaign", "link_id"),
    [("autumn", None), ("spring", "0" * 64), ("spring", "https://example.net/"), ("spring", ""), ("spring", "\x00")],
)
async def test_a_link_that_is_not_of_this_campaign_leads_nowhere(
    room: Room, link_campaign: str, link_id: str | None
) -> None:
    known = add_link(room.settings, "https://example.com/", link_campaign)
    answer = await room.ask(f"/c/{room.token(Purpose.CLICK)}/{known if link_id is None else link_id}")

    assert answer.status == 404
    assert "location" not in answer.headers
    assert b"leads nowhere" in answer.body
    assert hits(room.settings) == []
    assert await room.counted("sendlens_hits_rejected_total", kind="click", reason="link") == 1


@pytest.mark.parametrize("url", ["https://example.com/\r\nSet-Cookie: a=b", "javascript:alert(1)", "/here", ""])
async def test_a_link_that_would_break_the_answer_leads_nowhere(room: Room, url: str) -> None:
    answer = await room.ask(f"/c/{room.token(Purpose.CLICK)}/{add_link(room.settings, url)}")

    assert (answer.status, answer.headers.get("location")) == (404, None)
    assert await room.counted("sendlens_hits_rejected_total", kind="click", reason="link-url") == 1


def forged(room: Room) -> str:
    return Keyring({2: b"another secret of sixteen"}).sign(Purpose.OPEN, CLAIM)


def truncated(room: Room) -> str:
    raw = base64.urlsafe_b64decode(room.token(Purpose.OPEN) + "==")
    return base64.urlsafe_b64encode(raw[:-3]).rstrip(b"=").decode()


def tampered(room: Room) -> str:
    raw = bytearray(base64.urlsafe_b64decode(room.token(Purpose.OPEN) + "=="))
    raw[5] ^= 1
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def of_another_purpose(room: Room) -> str:
    return room.token(Purpose.UNSUBSCRIBE)


def of_an_unknown_key(room: Room) -> str:
    return Keyring({9: b"a key that was never ours"}).sign(Purpose.OPEN, CLAIM)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (forged, "signature"),
        (truncated, "signature"),
        (tampered, "signature"),
        (of_another_purpose, "purpose"),
        (of_an_unknown_key, "key"),
    ],
)
async def test_a_bad_token_gets_the_pixel_or_the_plain_404_and_is_counted_by_reason(
    room: Room, make: Callable[[Room], str], reason: str
) -> None:
    token = make(room)
    opened = await room.client.get(f"/o/{token}.gif")
    clicked = await room.client.get(f"/c/{token}/{'0' * 64}")

    assert (opened.status_code, opened.content) == (200, PIXEL)
    assert clicked.status_code == 404
    assert hits(room.settings) == []
    assert await room.counted("sendlens_hits_rejected_total", kind="open", reason=reason) == 1
    assert await room.counted("sendlens_hits_rejected_total", kind="click", reason=reason) == 1


async def test_a_token_of_the_key_before_the_rotation_still_counts(room: Room) -> None:
    old = Keyring.parse(room.settings.token_keys.split(",")[1])
    assert (await room.client.get(f"/o/{old.sign(Purpose.OPEN, CLAIM)}.gif")).status_code == 200
    assert [hit.lead for hit in hits(room.settings)] == ["lead-1"]


GARBAGE = (
    "",
    ".gif",
    "a" * 100_000,
    "a\r\nSet-Cookie: b=c",
    "\x00\x01\x02.gif",
    "../../etc/passwd",
    "a/b/c/d.gif",
    "\udcff\udcfe.gif",
    "\ud800",
    "%00%ff",
    "ü" * 500,
    "🂡" * 300,
    "." * 50 + "gif",
)


async def test_whatever_stands_in_a_pixels_or_links_place_has_its_answer(room: Room) -> None:
    for count, rest in enumerate(GARBAGE, 1):
        opened, clicked = await room.ask("/o/" + rest), await room.ask("/c/" + rest)

        assert (opened.status, opened.body) == (200, PIXEL), rest[:50]
        assert clicked.status == 404, rest[:50]
        assert not any("\r" in value or "\n" in value for value in clicked.headers.values())
        assert await room.counted("sendlens_hits_rejected_total", kind="open", reason="malformed") == count
        assert await room.counted("sendlens_hits_rejected_total", kind="click", reason="malformed") == count


@hypothesis_settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.text(max_size=500))
def test_no_text_at_all_makes_the_hot_path_fail(sync_room: tuple[asyncio.AbstractEventLoop, Room], rest: str) -> None:
    loop, room = sync_room
    opened = loop.run_until_complete(room.ask("/o/" + rest))
    clicked = loop.run_until_complete(room.ask("/c/" + rest))
    assert (opened.status, opened.body, clicked.status) == (200, PIXEL, 404)


@pytest.fixture
def sync_room(settings: Settings) -> Iterator[tuple[asyncio.AbstractEventLoop, Room]]:
    """The room on a loop of its own: hypothesis calls plain functions."""
    loop = asyncio.new_event_loop()
    context = running(settings)
    room = loop.run_until_complete(context.__aenter__())
    loop.run_until_complete(room.until_ready())
    yield loop, room
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


async def test_a_head_is_answered_without_a_body_and_recorded_for_the_judge(room: Room) -> None:
    link = add_link(room.settings, "https://example.com/")
    opened = await room.ask(f"/o/{room.token(Purpose.OPEN)}.gif", "HEAD")
    clicked = await room.ask(f"/c/{room.token(Purpose.CLICK)}/{link}", "HEAD")

    assert (opened.status, opened.body, opened.headers["content-length"]) == (200, b"", "43")
    assert (clicked.status, clicked.body, clicked.headers["location"]) == (302, b"", "https://example.com/")
    assert {hit.method for hit in hits(room.settings)} == {"HEAD"}


@pytest.mark.parametrize("path", ["/o/a.gif", "/c/a/b"])
async def test_other_methods_are_told_which_ones_there_are(room: Room, path: str) -> None:
    options = await room.ask(path, "OPTIONS")
    post = await room.ask(path, "POST")

    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert hits(room.settings) == []


async def test_a_hit_keeps_the_headers_that_rules_read_and_nothing_else_of_the_client(room: Room) -> None:
    await room.ask(
        f"/o/{room.token(Purpose.OPEN)}.gif",
        headers=[
            (b"user-agent", b"Bad\xff\xe9Agent\x00\x1b[31m " + b"x" * 5000),
            (b"purpose", b"prefetch"),
            (b"sec-fetch-dest", b"image"),
            (b"accept", b"image/*\r\nInjected: yes" + b"y" * 5000),
            (b"referer", b"https://mail.example.com/inbox/ada"),
            (b"cookie", b"session=secret"),
            (b"authorization", b"Basic secret"),
        ],
    )
    [hit] = hits(room.settings)
    assert hit.user_agent.startswith("Bad\ufffd\ufffdAgent[31m xxx")
    assert len(hit.user_agent.encode()) <= 1024
    assert set(hit.headers) == {"purpose", "sec-fetch-dest", "accept", "referer"}
    assert (hit.headers["purpose"], hit.headers["referer"]) == ("prefetch", "present")
    assert hit.headers["accept"].startswith("image/*Injected: yes")
    assert len(hit.headers["accept"].encode()) <= 256


@given(st.binary(max_size=3000), st.integers(1, 2000))
def test_cleaned_text_is_short_printable_utf8(raw: bytes, limit: int) -> None:
    text = clean(raw, limit)
    assert len(text.encode()) <= limit
    assert all(character.isprintable() for character in text)


async def test_hits_that_arrive_together_share_a_record_of_their_delivery_s_partition(room: Room) -> None:
    claims = [Claim(delivery_id("spring", 1, f"l{n}"), "spring", 1, "A", f"l{n}", 1_790_000_000) for n in range(200)]
    answers = await asyncio.gather(*(room.client.get(f"/o/{room.token(Purpose.OPEN, claim)}.gif") for claim in claims))
    assert {answer.status_code for answer in answers} == {200}

    written = records(room.settings, HITS)
    found = hits(room.settings)
    assert sorted(hit.lead for hit in found) == sorted(claim.lead for claim in claims)
    assert len({hit.id for hit in found}) == 200
    assert len(written) < 100
    for record in written:
        assert record.value.endswith(b"\n")
        for line in record.value.splitlines():
            found_id = line.split(b'"delivery_id":"')[1][:36].decode()
            assert delivery_partition(found_id, 4) == record.partition


async def test_hits_have_ids_of_their_own_in_order_of_time(room: Room) -> None:
    """UUIDs of version 7 (RFC 9562, 5.7)."""
    claims = [Claim(delivery_id("spring", 1, f"l{n}"), "spring", 1, "A", f"l{n}", 1_790_000_000) for n in range(400)]
    for _ in range(3):  # more than randomness is fetched for at once
        await asyncio.gather(*(room.ask(f"/o/{room.token(Purpose.OPEN, claim)}.gif") for claim in claims))
    found = hits(room.settings)
    ids = [UUID(hit.id) for hit in found]
    assert len(set(ids)) == 1200
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    assert [one.int >> 80 for one in ids] == [round(hit.at.timestamp() * 1000) for hit in found]
    assert {f"{one.int >> 60 & 0xF:x}" for one in ids} == set("89ab")


async def test_a_link_record_that_cannot_be_read_is_stepped_over(room: Room) -> None:
    put(room.settings, LINKS, "poison", b"\xff not json")
    link = add_link(room.settings, "https://example.com/after")
    assert (await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")).status_code == 302


async def test_a_hit_beyond_the_bound_is_served_counted_and_not_recorded(settings: Settings) -> None:
    crowded = settings.model_copy(update={"in_flight_hits": 5, "group_commit_ms": 100})
    async with running(crowded) as room:
        await room.until_ready()
        path = f"/o/{room.token(Purpose.OPEN)}.gif"
        answers = await asyncio.gather(*(room.client.get(path) for _ in range(20)))

        assert {answer.content for answer in answers} == {PIXEL}
        # 200 promises that the hit is safe; 503 that it is not, and that asking again is welcome.
        assert Counter(answer.status_code for answer in answers) == {200: 5, 503: 15}
        assert all(("retry-after" in answer.headers) == (answer.status_code == 503) for answer in answers)
        assert await room.counted("sendlens_hits_total", kind="open", result="recorded") == 5
        assert await room.counted("sendlens_hits_total", kind="open", result="refused") == 15
        assert await room.counted("sendlens_hits_rejected_total", kind="open", reason="in-flight") == 15
    assert len(hits(settings)) == 5
