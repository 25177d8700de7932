"""Unsubscribing: a page that asks, a POST that does it, and a GET that changes nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from schemas.events import AnyEvent, Lead, LeftList, Resubscribed, Snoozed, Unsubscribed, to_ms
from schemas.settings import Settings
from schemas.tokens import Keyring, Purpose, event_id
from schemas.topics import EVENTS, LEADS, delivery_partition, text_partition
from tests.ingest.room import CLAIM, Room, records

FORM = {"content-type": "application/x-www-form-urlencoded"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def written(settings: Settings) -> tuple[list[Lead], list[AnyEvent]]:
    decode = msgspec.json.Decoder(AnyEvent).decode
    leads = [msgspec.json.decode(record.value, type=Lead) for record in records(settings, LEADS)]
    events = [decode(line) for record in records(settings, EVENTS) for line in record.value.splitlines()]
    return leads, events


@pytest.mark.parametrize(
    "more", [")", ".", ">", "]", '"', "'", ",", "%20", "%3E", "%0A", "”", "。", "_", "=20", ").%20and"]
)
async def test_what_got_into_the_address_behind_the_token_is_no_part_of_it(room: Room, more: str) -> None:
    path = f"/u/{room.token(Purpose.UNSUBSCRIBE)}{more}"
    assert (await room.client.get(path)).status_code == 200
    assert (await room.client.post(path, data={"confirm": "1"})).status_code == 200
    assert [lead.lead for lead in written(room.settings)[0]] == [CLAIM.lead]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_changes_nothing_however_often(room: Room, method: str) -> None:
    for _ in range(3):
        answer = await room.client.request(method, f"/u/{room.token(Purpose.UNSUBSCRIBE)}")
        assert answer.status_code == 200
    assert written(room.settings) == ([], [])


async def test_the_page_asks_with_a_plain_form_and_loads_nothing_from_anywhere(room: Room) -> None:
    answer = await room.client.get(f"/u/{room.token(Purpose.UNSUBSCRIBE)}")

    assert '<form method="post">' in answer.text
    assert 'lang="en"' in answer.text
    assert "<script" not in answer.text
    assert "http" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "via"),
    [
        ({"data": {"confirm": "1"}}, "page"),
        ({"data": ONE_CLICK}, "one-click"),
        ({"files": {"List-Unsubscribe": (None, "One-Click")}}, "one-click"),
        ({"files": {"confirm": (None, "1")}}, "page"),
        ({"content": b"List-Unsubscribe=One-Click"}, "one-click"),
        ({"content": b"List-Unsubscribe=One-Click\r\n", "headers": {"content-type": "text/plain"}}, "one-click"),
        ({"content": b"List-Unsubscribe=One-Click\r\n", "headers": FORM}, "one-click"),
        (
            {"content": b"List-Unsubscribe=one-click", "headers": {"content-type": "text/plain; charset=us-ascii"}},
            "one-click",
        ),
        ({"files": {"List-Unsubscribe": (None, "One-Click\r\n")}}, "one-click"),
        ({}, "one-click"),
        ({"content": b"\r\n", "headers": FORM}, "one-click"),
    ],
    ids=[
        *("page", "one-click urlencoded", "one-click multipart", "page multipart", "no content type", "text and CR LF"),
        *("form and CR LF", "text with charset", "multipart and CR LF", "empty", "an empty line"),
    ],
)
async def test_a_post_suppresses_the_lead_and_says_so_once_kafka_has_it(
    room: Room, body: dict[str, object], via: str
) -> None:
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", **body)  # type: ignore[arg-type]

    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text
    assert "set-cookie" not in answer.headers
    assert answer.history == []
    [lead], [event] = written(room.settings)
    assert lead.lead == "lead-1"
    assert isinstance(event, Unsubscribed)
    assert (event.via, event.campaign, event.step, event.variant, event.lead) == (via, "spring", 1, "A", "lead-1")
    assert event.id == str(event_id(CLAIM.delivery_id, f"unsubscribe\x1f{int(event.at.timestamp())}"))
    assert (lead.fact, lead.holds, lead.at) == ("unsubscribed", True, event.at)
    [lead_record], [event_record] = records(room.settings, LEADS), records(room.settings, EVENTS)
    assert (lead_record.key, lead_record.partition) == (lead.key.encode(), text_partition(lead.key, 4))
    assert event_record.partition == delivery_partition(str(CLAIM.delivery_id), 4)
    assert event_record.value.endswith(b"\n")
    assert await room.counted("sendlens_unsubscribes_total", via=via, result="recorded") == 1


@pytest.mark.parametrize(
    ("said", "kept"), [("too-many", "too-many"), ("", ""), ("because" * 500, ""), ("<b>x</b>", ""), ("\x00", "")]
)
async def test_a_reason_is_kept_where_it_is_one_of_those_offered(room: Room, said: str, kept: str) -> None:
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"confirm": "1", "reason": said})
    assert (answer.status_code, "You are unsubscribed" in answer.text) == (200, True)
    [lead], [event] = written(room.settings)
    assert isinstance(event, Unsubscribed)
    assert (lead.fact, event.via, event.reason) == ("unsubscribed", "page", kept)


@pytest.mark.every_broker
async def test_one_click_unsubscribes_at_once_whatever_else_the_form_says(room: Room) -> None:
    said = {**ONE_CLICK, "reason": "too-many", "pause": "1"}
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data=said)
    assert answer.status_code == 200
    [lead], [event] = written(room.settings)
    assert isinstance(event, Unsubscribed)
    assert (lead.fact, lead.until, event.via, event.reason) == ("unsubscribed", None, "one-click", "")


async def test_a_pause_holds_for_thirty_days_and_can_be_ended(room: Room) -> None:
    address = f"/u/{room.token(Purpose.UNSUBSCRIBE)}"
    done = await room.client.post(address, data={"pause": "1", "reason": "too-many"})
    [lead], [event] = written(room.settings)
    assert isinstance(event, Snoozed)
    assert event.until == lead.until == to_ms(event.at + timedelta(days=30))
    assert (lead.fact, lead.holds, lead.at, lead.source) == ("snoozed", True, event.at, "page")
    assert (done.status_code, f"before {event.until:%Y-%m-%d}" in done.text) == (200, True)
    assert 'name="unpause" value="1"' in done.text
    assert await room.counted("sendlens_unsubscribes_total", via="pause", result="recorded") == 1

    ended = await room.client.post(address, data={"unpause": "1"})
    assert "Your emails go on" in ended.text
    leads, events = written(room.settings)
    assert [(one.key, one.holds) for one in leads] == [(lead.key, True), (lead.key, False)]
    assert isinstance(events[1], Snoozed)
    assert events[1].until == events[1].at
    assert events[1].id != event.id


async def test_one_list_may_be_left_alone_and_joined_again(room: Room) -> None:
    address = f"/u/{room.token(Purpose.UNSUBSCRIBE, replace(CLAIM, lists=('Seeds', 'Börse')))}"
    asked = await room.client.get(address)
    assert 'name="list" value="Seeds"' in asked.text
    done = await room.client.post(address, data={"list": "Börse"})
    assert (done.status_code, "You have left “Börse”" in done.text) == (200, True)
    assert (await room.client.post(address, data={"list": "Bulbs"})).status_code == 400  # none of this email's
    back = await room.client.post(address, data={"rejoin": "Börse"})
    assert "You are on “Börse” again" in back.text
    leads, events = written(room.settings)
    assert [(one.fact, one.campaign, one.holds) for one in leads] == [("left", "Börse", True), ("left", "Börse", False)]
    assert [(type(one), getattr(one, "list_name", ""), getattr(one, "back", None)) for one in events] == [
        (LeftList, "Börse", False),
        (LeftList, "Börse", True),
    ]
    assert (await room.client.post(address, data=ONE_CLICK)).status_code == 200
    assert "unsubscribed" in {one.fact for one in written(room.settings)[0]}


async def test_two_wishes_at_once_change_nothing(room: Room) -> None:
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"pause": "1", "confirm": "1"})
    assert (answer.status_code, written(room.settings)) == (400, ([], []))


async def test_unsubscribing_can_be_taken_back_on_the_page_that_confirms_it(room: Room) -> None:
    address = f"/u/{room.token(Purpose.UNSUBSCRIBE)}"
    done = await room.client.post(address, data={"confirm": "1"})
    assert 'name="undo" value="1"' in done.text

    undone = await room.client.post(address, data={"undo": "1"})
    assert undone.status_code == 200
    assert "You are subscribed again" in undone.text
    assert 'name="confirm" value="1"' in undone.text
    leads, events = written(room.settings)
    assert [(lead.key, lead.holds) for lead in leads] == [(leads[0].key, True), (leads[0].key, False)]
    assert [type(event) for event in events] == [Unsubscribed, Resubscribed]
    assert await room.counted("sendlens_unsubscribes_total", via="undo", result="recorded") == 1


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("de-AT, de;q=0.9, en;q=0.8", "de"),
        ("pt-BR, fr;q=0.7, en;q=0.6", "fr"),
        ("ja", "en"),
        ("en;q=0.1, es;q=0.2", "es"),
        ("es;q=nonsense, *;q=0.5", "en"),
        ("de;q=0", "en"),
        ("", "en"),
        ("x" * 60_000, "en"),
    ],
)
async def test_the_pages_speak_the_readers_language_or_english(room: Room, wish: str, language: str) -> None:
    for address in (f"/u/{room.token(Purpose.UNSUBSCRIBE)}", "/c/nothing/at-all"):
        answer = await room.client.get(address, headers={"Accept-Language": wish})
        assert f'<html lang="{language}">' in answer.text
        assert answer.headers["vary"] == "Accept-Language"


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"confirm": "0"}},
        {"data": {"List-Unsubscribe": "one\r\nclick"}},
        {"content": b"\xff\xfe\x00", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        {"json": {"confirm": "1"}},
        {"files": {"confirm": ("file.txt", b"1")}},
    ],
    ids=["no", "not quite", "not UTF-8", "broken multipart", "no boundary", "JSON", "a file"],
)
async def test_a_post_that_says_neither_changes_nothing(room: Room, body: dict[str, object]) -> None:
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", **body)  # type: ignore[arg-type]

    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text
    assert written(room.settings) == ([], [])


async def test_a_body_that_is_far_too_large_is_refused(room: Room) -> None:
    answer = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"confirm": "1" * 100_000})
    assert answer.status_code == 413
    assert written(room.settings) == ([], [])


async def test_a_token_of_another_purpose_can_never_unsubscribe_anyone(room: Room) -> None:
    tokens = [
        *(room.token(purpose) for purpose in Purpose if purpose not in (Purpose.UNSUBSCRIBE, Purpose.BOUNCE)),
        room.settings.keyring.sign_bounce(CLAIM),
        Keyring({7: b"a key that was never ours"}).sign(Purpose.UNSUBSCRIBE, CLAIM),
        room.token(Purpose.UNSUBSCRIBE)[:-4],
        "<script>alert(1)</script>",
        "a%2Fb%0d%0a",
        "a" * 60_000,
    ]
    for token in tokens:
        asked = await room.client.get(f"/u/{token}")
        done = await room.client.post(f"/u/{token}", data=ONE_CLICK)
        assert (asked.status_code, done.status_code) == (404, 404)
        assert "<script" not in asked.text
    assert written(room.settings) == ([], [])
    assert await room.counted("sendlens_unsubscribes_total", via="one-click", result="purpose") == 3
