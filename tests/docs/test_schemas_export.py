"""`schemas/json/` is what the structs say today, and what is written to the topics is what it says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas import events, export, raw_mail
from schemas.state import attempts, dead_records, positions, previews, webhook_calls

FILES = sorted(export.FOLDER.glob("*.json"))
AT = datetime(2026, 3, 2, 9, 0, 0, 123000, tzinfo=UTC)
ID = str(UUID(int=7))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
TIMES = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
)
OF_DELIVERY: dict[str, Any] = {"delivery_id": ID, "campaign": "spring", "step": 1, "variant": "A", "lead": "lead-4711"}
OF_EVENT: dict[str, Any] = {"id": ID, "at": AT, **OF_DELIVERY}
JUDGED: dict[str, Any] = {
    "verdict": "bot",
    "reason": "too-quick",
    "rules_version": "1",
    "user_agent": "curl/8",
    "ip": "192.0.2.1",
}

WAITS: dict[str, Any] = {
    "delivery_id": ID, "request_id": ID, "campaign": "spring", "step": 1, "lead": "lead-4711", "sender": "a@example.net",
    "state": "deferred", "attempt": 1, "first_at": AT, "due_at": AT, "at": AT,
}  # fmt: skip
ANSWER: dict[str, Any] = {"sender": "a@example.net", "message_id": "r@example.com", "matched_by": "message-id"}

SAMPLES: list[msgspec.Struct] = [
    events.Sent(
        **OF_EVENT, sender="a@example.net", recipient_domain="example.com", message_id="<m@example.net>", attempt=2
    ),
    events.Delivered(**OF_EVENT, sender="a@example.net", request_id=ID),
    events.Deferred(**OF_EVENT, sender="a@example.net", status="4.2.2", diagnostic="full", attempt=1),
    events.Skipped(**OF_EVENT, reason="paused"),
    events.Bounced(
        **OF_EVENT,
        sender="a@example.net",
        bounce_class="hard",
        category="no-mailbox",
        status="5.1.1",
        diagnostic="unknown",
    ),
    events.Opened(**OF_EVENT, **JUDGED),
    events.Clicked(**OF_EVENT, **JUDGED, link_id="a" * 64),
    events.Unsubscribed(**OF_EVENT, via="one-click"),
    events.Unanswered(**OF_EVENT, sender="a@example.net", request_id=ID, message_id="m@example.net"),
    events.Replied(**OF_EVENT, **ANSWER, subject="Re: Hello", text="Yes"),
    events.AutoReplied(**OF_EVENT, **ANSWER, subject="Out of office", text="Back on Monday."),
    events.Complained(**OF_EVENT, **ANSWER, category="fraud"),
    events.Resubscribed(**OF_EVENT),
    events.Snoozed(**OF_EVENT, until=AT),
    events.LeftList(**OF_EVENT, list_name="Seeds"),
    events.CampaignPaused(id=ID, at=AT, campaign="spring", reason="bounces", sent=100, hard_bounced=6),
    events.WebhookDisabled(id=ID, at=AT, endpoint=ID, reason="500"),
    events.CampaignResumed(id=ID, at=AT, campaign="spring"),
    events.Hit(**OF_EVENT, kind="click", minted_at=AT, link_id="a" * 64, method="HEAD", headers={"accept": "image/*"}),
    events.Send(
        **OF_DELIVERY,
        request_id=ID,
        to="ada@example.com",
        sender="a@example.net",
        subject="Hello",
        html="<p>Hello",
        headers={"X-Team": "growth"},
        requested_at=AT,
    ),
    events.Delivery(delivery_id=ID, request_id=ID, at=AT),
    attempts.Attempt(
        delivery_id=ID, request_id=ID, attempt=1, at=AT, sender="a@example.net", message_id="m", outcome="delivered"
    ),
    attempts.Waiting(
        **WAITS,
        send=events.Send(
            **OF_DELIVERY, request_id=ID, to="ada@example.com", sender="a@example.net", subject="Hello", requested_at=AT
        ),
    ),
    attempts.Waiting(**WAITS | {"state": "settled"}),
    events.Campaign(id="spring", name="Spring launch", created_at=AT, check_reply=True),
    events.Pause(campaign="spring", paused=True, at=AT, reason="bounces"),
    events.Lead(lead="lead-4711", fact="replied", campaign="spring", at=AT),
    events.Lead(lead="0f" * 16, of="address", fact="invalid", at=AT),
    events.Link(link_id="a" * 64, campaign="spring", url="https://example.net/seeds"),
    previews.Preview(campaign="spring", step=1, variant="A", html="<p>The seeds are in.</p>", at=AT),
    raw_mail.Mail(
        id=ID,
        mailbox="a@example.net",
        folder="INBOX",
        uidvalidity=1,
        uid=7,
        received_at=AT,
        size=12,
        digest="0" * 64,
        raw=b"Subject: x\r\n",
    ),
    positions.Position(mailbox="a@example.net", folder="INBOX", uidvalidity=1, uid=7, old_since=AT, newest=AT, at=AT),
    dead_records.Dead(
        stage="judge", topic="hits", partition=0, offset=7, reason="unreadable", detail="", at=AT, key="", value="eA=="
    ),
    webhook_calls.Endpoint(id=ID, url="https://example.com/hook", kinds=("reply",), created_at=AT, since=AT),
    webhook_calls.Call(endpoint=ID, event=ID, kind="reply", partition=1, attempt=2, first_at=AT, due_at=AT, body="{}"),
    webhook_calls.EventNotice(type="reply", timestamp="2026-03-02T09:00:00Z", data=msgspec.Raw(b"{}")),
]


def validator(name: str) -> Draft202012Validator:
    schema: dict[str, Any] = json.loads((export.FOLDER / name).read_text())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def name_of(struct: type[msgspec.Struct]) -> str:
    return f"{struct.__struct_config__.tag or struct.__name__.lower()}.json"


def test_the_files_are_todays_render_of_the_structs() -> None:
    there = {path.name: path.read_text() for path in FILES}
    assert there == export.render(), "run `make schemas`"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_is_a_json_schema_of_2020_12(path: Any) -> None:
    schema = json.loads(path.read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == path.name
    assert schema["description"]
    Draft202012Validator.check_schema(schema)


def test_there_is_a_sample_of_every_file() -> None:
    assert {name_of(type(sample)) for sample in SAMPLES} == {path.name for path in FILES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_what_is_written_is_what_the_schema_says(sample: msgspec.Struct) -> None:
    written = json.loads(events.lines([sample]))
    validator(name_of(type(sample))).validate(written)
    known = json.loads((export.FOLDER / name_of(type(sample))).read_text())["properties"]
    assert set(written) <= set(known)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)
def test_the_schema_refuses_what_a_reader_of_the_topic_would_refuse(sample: msgspec.Struct) -> None:
    check = validator(name_of(type(sample)))
    written = json.loads(events.lines([sample]))
    required = json.loads((export.FOLDER / name_of(type(sample))).read_text())["required"]
    assert required
    for name in required:
        without = {key: value for key, value in written.items() if key != name}
        assert not check.is_valid(without), name


def test_an_event_of_one_kind_is_not_one_of_another() -> None:
    opened = json.loads(events.lines([s for s in SAMPLES if isinstance(s, events.Opened)]))
    assert validator("open.json").is_valid(opened)
    assert not validator("click.json").is_valid(opened)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, NAMES, st.integers(0, 255), TIMES, st.sampled_from(["human", "bot", "machine"]), st.text(max_size=80))
def test_whatever_a_hit_says_its_event_keeps_to_the_schema(
    campaign: str, lead: str, step: int, at: datetime, verdict: Any, agent: str
) -> None:
    event = events.Opened(
        id=ID, at=at, delivery_id=ID, campaign=campaign, step=step, variant="", lead=lead,
        verdict=verdict, reason="r", rules_version="1", user_agent=agent.encode(errors="replace").decode(),
    )  # fmt: skip
    (line,) = events.lines([event]).splitlines()
    written = json.loads(line)
    validator("open.json").validate(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", written["at"])
    assert msgspec.json.decode(line, type=events.AnyEvent) == event
