"""What endpoints are told, that it can be verified, and how long it is tried."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from decisions.effects.webhook_messages import LONGEST, next_attempt, report, signed
from schemas.events import (
    Bounced,
    CampaignPaused,
    Complained,
    Delivered,
    Event,
    Opened,
    Replied,
    Sent,
    Skipped,
    Unsubscribed,
    WebhookDisabled,
    lines,
)
from schemas.state.endpoints import KINDS, is_public

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
REPLIED = Replied(
    id=str(UUID(int=7)),
    at=NOW,
    delivery_id=str(UUID(int=8)),
    campaign="spring",
    step=1,
    variant="A",
    lead="lead-1",
    sender="news@example.com",
    message_id="r@example.net",
    matched_by="message-id",
    text='Yes, "please"\n— two bags',
)


def test_an_event_is_told_with_its_kind_its_moment_and_all_of_it() -> None:
    told = report(lines([REPLIED]))
    assert (told.id, told.kind) == (REPLIED.id, "reply")
    body = json.loads(told.body())
    assert (body["type"], body["timestamp"]) == ("reply", "2026-03-02T09:00:00Z")
    assert msgspec.convert(body["data"], Replied, strict=False) == REPLIED


def test_an_event_of_a_campaign_is_told_as_well() -> None:
    paused = CampaignPaused(id=str(UUID(int=9)), at=NOW, campaign="spring", reason="bounces", sent=40, hard_bounced=3)
    assert report(lines([paused])).kind == "campaign_paused"


def told(event: Event | CampaignPaused | WebhookDisabled, to: str | None = None) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(report(lines([event])).body(to))["data"]
    return data


def test_every_payload_names_campaign_step_variant_lead_and_reason() -> None:
    of = {"id": str(UUID(int=9)), "at": NOW, "delivery_id": str(UUID(int=8)), "campaign": "spring", "step": 1}
    of |= {"variant": "A", "lead": "lead-1"}
    back = {"sender": "news@example.com", "message_id": "m", "matched_by": "verp"}
    refused = {"bounce_class": "hard", "category": "user-unknown", "status": "5.1.1", "diagnostic": ""}
    reasons = {
        Replied(**of, **back): "verp",
        Complained(**of, **back): "abuse",
        Bounced(**of, **refused, sender="news@example.com"): "user-unknown",
        Skipped(**of, reason="paused"): "paused",
        Unsubscribed(**of, via="one-click"): "one-click",
        Unsubscribed(**of, via="page", reason="too-many"): "too-many",
        Opened(**of, verdict="bot", reason="too-quick", rules_version="1"): "too-quick",
        Delivered(**of, sender="news@example.com"): "",
    }
    for event, reason in reasons.items():
        data = told(event)
        assert [data[name] for name in ("campaign", "step", "variant", "lead")] == ["spring", 1, "A", "lead-1"]
        assert data["reason"] == reason
    paused = told(CampaignPaused(id=str(UUID(int=9)), at=NOW, campaign="spring", reason="bounces"))
    assert [paused[name] for name in ("campaign", "step", "lead", "reason")] == ["spring", None, None, "bounces"]
    assert (
        told(WebhookDisabled(id=str(UUID(int=9)), at=NOW, endpoint=str(UUID(int=3)), reason="500"))["campaign"] is None
    )


def test_the_recipient_is_told_to_who_asked_for_it_and_to_nobody_else() -> None:
    sent = Sent(
        id=str(UUID(int=9)), at=NOW, delivery_id=str(UUID(int=8)), campaign="spring", step=1, variant="A", lead="lead-1",
        sender="news@example.com", recipient_domain="example.net", message_id="m", recipient="ada@example.net",
    )  # fmt: skip
    message = report(lines([sent]))
    assert message.recipient == "ada@example.net"
    assert b"ada@" not in message.body()
    assert told(sent, "ada@example.net")["to"] == "ada@example.net"
    assert "recipient" not in told(sent, "ada@example.net")
    assert told(REPLIED, "")["to"] == ""


def test_what_is_no_event_is_not_told() -> None:
    for line in (b"{}", b"not json", b'{"id":"x"}'):
        with pytest.raises(msgspec.MsgspecError):
            report(line)


def test_every_kind_of_event_can_be_asked_for() -> None:
    assert {"sent", "bounce", "reply", "complaint", "unsubscribe", "open", "click", "campaign_paused"} <= set(KINDS)


def test_the_signature_is_what_the_public_library_verifies_with_the_new_key_and_with_the_old() -> None:
    new, old = b"n" * 32, b"o" * 32
    told = report(lines([REPLIED]))
    headers = signed([new, old], told.id, datetime.now(UTC), told.body())
    for secret in (new, old):
        assert Webhook(base64.b64encode(secret).decode()).verify(told.body(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(b"x" * 32).decode()).verify(told.body(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(new).decode()).verify(told.body().replace(b"spring", b"autumn"), headers)


@given(luck=st.floats(0, 1), fails_for=st.floats(0, 10))
def test_it_is_tried_for_24_hours_with_ever_longer_pauses_and_then_given_up(luck: float, fails_for: float) -> None:
    attempt, now, pauses = 1, NOW, []
    while (due := next_attempt(attempt, NOW, now + timedelta(seconds=fails_for), luck)) is not None:
        pauses.append(due - now)
        attempt, now = attempt + 1, due
    assert now == NOW + LONGEST, "the last attempt is at the end of the 24 hours"
    assert 25 <= attempt <= 33
    assert pauses[0] < timedelta(seconds=16)


def test_an_endpoint_that_asks_for_a_longer_pause_gets_it_but_never_beyond_the_end() -> None:
    assert next_attempt(1, NOW, NOW, 0.5, 120.0) == NOW + timedelta(seconds=120)
    assert next_attempt(1, NOW, NOW, 0.5, 1.0) == NOW + timedelta(seconds=5)
    assert next_attempt(1, NOW, NOW, 0.5, 1e6) == NOW + LONGEST


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:7f00:1::", "ff02::1", "198.18.0.1",
    ],
)  # fmt: skip
def test_an_address_of_a_private_network_is_known_in_every_spelling(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)
