"""`POST /v1/providers/...` over HTTP: who is believed, what is written, and that a repeat writes nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clickhouse.store import connect, insert_lines
from ingest.api.providers.signatures import LONGEST
from schemas.events import AnyEvent, Campaign, Delivery, Sent, lines
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id, event_id
from schemas.topics import CAMPAIGNS, DELIVERIES, EVENTS, Topic
from tests.decisions.providers import payloads
from tests.ingest.api.test_instrument import an_email
from tests.ingest.room import Room, put, records, running

SECRET = "the-secret-of-these-very-tests"
MAILGUN_KEY = "key-of-mailguns-webhooks"
SENDGRID = ec.generate_private_key(ec.SECP256R1())
SENDGRID_PUBLIC = base64.b64encode(
    SENDGRID.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()


@pytest.fixture
async def posted(settings: Settings, own_database: Settings) -> AsyncIterator[Room]:
    """A room that knows every provider but SES."""
    asked = settings.model_copy(
        update={
            "clickhouse_url": own_database.clickhouse_url,
            "clickhouse_database": own_database.clickhouse_database,
            "sendgrid_public_key": SENDGRID_PUBLIC,
            "postmark_secret": SECRET,
            "mailgun_signing_key": MAILGUN_KEY,
            "brevo_secret": SECRET,
        }
    )
    put(asked, CAMPAIGNS, "spring", Campaign(id="spring", name="Spring", created_at=datetime.now(UTC)))
    async with running(asked) as room:
        await room.until_ready()
        yield room


def sent(room: Room, lead: str, campaign: str = "spring") -> str:
    """Has an email of the sender's been sent, as ClickHouse has it; returns what names it."""
    claim = Claim(delivery_id(campaign, 1, lead), campaign, 1, "A", lead, int(datetime.now(UTC).timestamp()))
    event = Sent(
        id=str(event_id(claim.delivery_id, "sent")), at=datetime.now(UTC), delivery_id=str(claim.delivery_id),
        campaign=campaign, step=1, variant="A", lead=lead, sender="news@example.net", recipient_domain="example.com",
        message_id="", address=room.settings.keyring.address_ids(payloads.TO)[0],
    )  # fmt: skip
    with connect(room.settings) as client:
        insert_lines(client, "events", lines([event]))
    return room.token(Purpose.MESSAGE, claim)


def written(room: Room, topic: Topic = EVENTS) -> list[Any]:
    of: Any = AnyEvent if topic is EVENTS else Delivery
    return [
        msgspec.json.decode(line, type=of)
        for record in records(room.settings, topic)
        for line in record.value.split(b"\n")
        if line
    ]


def signed(body: bytes, at: datetime, key: ec.EllipticCurvePrivateKey = SENDGRID) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
    }


def mailgun_body(event: dict[str, Any], at: datetime, token: str = "", key: str = MAILGUN_KEY) -> dict[str, Any]:
    timestamp, token = str(int(at.timestamp())), token or uuid4().hex
    signature = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"signature": {"timestamp": timestamp, "token": token, "signature": signature}, "event-data": event}


async def sendgrid(room: Room, events: list[dict[str, Any]], at: datetime | None = None, **how: Any) -> httpx.Response:
    body = json.dumps(events).encode()
    headers = signed(body, at or datetime.now(UTC), **how)
    return await room.client.post("/v1/providers/sendgrid", content=body, headers=headers)


async def test_a_request_of_many_reports_is_taken_and_counted(posted: Room) -> None:
    now, token = datetime.now(UTC), sent(posted, "lead-1")
    events = [
        payloads.sendgrid("delivered", now, sendlens=token),
        payloads.sendgrid("open", now, sendlens=token),
        payloads.sendgrid("bounce", now, sendlens=token),
        payloads.sendgrid("bounce", now, sendlens="somebody-elses"),
        payloads.sendgrid("teleported", now, sendlens=token),
    ]
    answer = await sendgrid(posted, events)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "ignored": 4, "repeated": False})
    (bounce,) = written(posted)
    assert (bounce.lead, bounce.sender, bounce.bounce_class) == ("lead-1", "news@example.net", "hard")
    for result in ("accepted", "told-already", "ignored", "no-token", "unknown-word"):
        assert await posted.counted("sendlens_provider_reports_total", provider="sendgrid", result=result) == 1


async def test_the_same_request_again_writes_nothing(posted: Room) -> None:
    now, token = datetime.now(UTC), sent(posted, "lead-2")
    body = mailgun_body(
        payloads.mailgun("complained", now, **{"user-variables": {"sendlens": token}}), now, "one-token"
    )
    assert (await posted.client.post("/v1/providers/mailgun", json=body)).json()["accepted"] == 1
    other = payloads.mailgun("unsubscribed", now, **{"user-variables": {"sendlens": token}})
    for again in (body, body | {"event-data": other}):
        answer = (await posted.client.post("/v1/providers/mailgun", json=again)).json()
        assert answer == {"accepted": 1, "ignored": 0, "repeated": True}
    assert [event.lead for event in written(posted)] == ["lead-2"], "a token that was used is good for nothing else"


async def test_one_signature_is_good_for_one_request_wherever_its_timestamp_ends(posted: Room) -> None:
    """Timestamp and token are signed as one text. "1790000000" and "e0ab" may not become "1790000000e0" and "ab"."""
    now, token = datetime.now(UTC), sent(posted, "lead-cut")
    body = mailgun_body(payloads.mailgun("complained", now, **{"user-variables": {"sendlens": token}}), now, "e0ab")
    assert (await posted.client.post("/v1/providers/mailgun", json=body)).json()["accepted"] == 1
    signature = body["signature"]
    other = payloads.mailgun("unsubscribed", now, **{"user-variables": {"sendlens": token}})
    for stamp, rest in ((f"{signature['timestamp']}e0", "ab"), (signature["timestamp"][:9], None)):
        cut = {"timestamp": stamp, "token": rest or f"{signature['timestamp'][9:]}e0ab"}
        again = {"signature": signature | cut, "event-data": other}
        answer = await posted.client.post("/v1/providers/mailgun", json=again)
        assert (answer.status_code, answer.json()["reason"]) == (403, "signature" if rest else "stale")
    assert len(written(posted)) == 1


async def test_a_token_is_good_for_one_of_two_requests_at_the_same_time(posted: Room) -> None:
    now, token = datetime.now(UTC), sent(posted, "lead-race")
    variables = {"user-variables": {"sendlens": token}}
    first = mailgun_body(payloads.mailgun("complained", now, **variables), now, "raced")
    second = first | {"event-data": payloads.mailgun("unsubscribed", now, **variables)}
    answers = await asyncio.gather(
        *(posted.client.post("/v1/providers/mailgun", json=body) for body in (first, second))
    )
    assert sorted(answer.json()["repeated"] for answer in answers) == [False, True]
    assert len(written(posted)) == 1


async def test_who_has_not_the_key_is_refused(posted: Room) -> None:
    now, stranger = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    event = payloads.sendgrid("spamreport", now)
    forged = await sendgrid(posted, [event], key=stranger)
    unsigned = await posted.client.post("/v1/providers/sendgrid", json=[event])
    mailgun = await posted.client.post(
        "/v1/providers/mailgun", json=mailgun_body(payloads.mailgun("complained", now), now, key="another")
    )
    wrong = await posted.client.post(
        "/v1/providers/postmark", json=payloads.postmark("SpamComplaint", now), auth=("sendlens", "guessed")
    )
    nobody = await posted.client.post("/v1/providers/brevo", json=payloads.brevo("spam", now))
    for answer in (forged, unsigned, mailgun, wrong, nobody):
        assert (answer.status_code, answer.json()["reason"]) == (403, "signature"), answer.text
    assert written(posted) == []


async def test_what_was_signed_long_ago_is_a_replay(posted: Room) -> None:
    old = datetime.now(UTC) - LONGEST - timedelta(minutes=1)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    for at in (old, ahead):
        answer = await sendgrid(posted, [payloads.sendgrid("spamreport", at)], at)
        assert (answer.status_code, answer.json()["reason"]) == (403, "stale")
        body = mailgun_body(payloads.mailgun("complained", at), at)
        answer = await posted.client.post("/v1/providers/mailgun", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (403, "stale")


@pytest.mark.parametrize("provider", ["postmark", "brevo"])
async def test_the_secret_is_a_password_or_a_bearer_token(posted: Room, provider: str) -> None:
    token = sent(posted, f"lead-{provider}")
    now = datetime.now(UTC)
    body = {
        "postmark": payloads.postmark("SpamComplaint", now, {f"sendlens-{n}": token[at : at + 80] for n, at in enumerate(range(0, len(token), 80), 1)}),
        "brevo": payloads.brevo("spam", now, **{"X-Mailin-custom": f"sendlens:{token}"}),
    }[provider]  # fmt: skip
    path = f"/v1/providers/{provider}"
    basic = await posted.client.post(path, json=body, auth=("sendlens", SECRET))
    bearer = await posted.client.post(path, json=body, headers={"Authorization": f"Bearer {SECRET}"})
    assert (basic.json()["accepted"], bearer.json()["repeated"]) == (1, True)
    assert [event.lead for event in written(posted)] == [f"lead-{provider}"]


async def test_an_email_that_is_instrumented_for_a_provider_is_sent_when_the_provider_says_so(posted: Room) -> None:
    answer = await posted.client.post("/v1/instrument", json={"sends": [an_email(provider="sendgrid", lead="own")]})
    (email,) = answer.json()["emails"]
    arguments = json.loads(email["headers"]["X-SMTPAPI"])["unique_args"]
    now = datetime.now(UTC)
    answer = await sendgrid(posted, [payloads.sendgrid("delivered", now, **arguments)])
    assert answer.json()["accepted"] == 1, answer.text
    assert [(event.lead, event.sender) for event in written(posted)] == [("own", "news@example.net")] * 2
    (delivery,) = written(posted, DELIVERIES)
    assert delivery.delivery_id == email["delivery_id"]


_WORDS = {
    "sendgrid": ("bounce", "delivered"), "postmark": ("Bounce", "Delivery"), "mailgun": ("failed", "delivered"),
    "brevo": ("hard_bounce", "delivered"),
}  # fmt: skip


async def tell(room: Room, provider: str, word: str, fields: dict[str, Any]) -> httpx.Response:
    """Posts the report of an email whose request to the provider's API had these fields, with the provider's proof."""
    now, path = datetime.now(UTC), f"/v1/providers/{provider}"
    if provider == "sendgrid":
        return await sendgrid(room, [payloads.sendgrid(word, now, **fields["custom_args"])])
    if provider == "mailgun":
        event = payloads.mailgun(word, now, **{"user-variables": {"sendlens": fields["v:sendlens"]}})
        return await room.client.post(path, json=mailgun_body(event, now))
    if provider == "postmark":
        body = payloads.postmark(word, now, fields["Metadata"])
    else:
        body = payloads.brevo(word, now, **fields["headers"])
    return await room.client.post(path, json=body, auth=("sendlens", SECRET))


@pytest.mark.parametrize("provider", _WORDS)
async def test_an_email_that_is_given_to_a_providers_api_is_known_by_the_fields_of_its_request(
    posted: Room, provider: str
) -> None:
    before = datetime.now(UTC)
    answer = await posted.client.post("/v1/instrument", json={"sends": [an_email(provider=provider, lead="own")]})
    (email,) = answer.json()["emails"]
    for word in _WORDS[provider]:
        reported = await tell(posted, provider, word, email["api_fields"])
        assert reported.json().get("accepted") == 1, reported.text
    sent, bounce, sent_again, delivered = written(posted)
    assert sent == sent_again
    assert before - timedelta(seconds=1) < sent.at <= datetime.now(UTC)
    assert {event.delivery_id for event in (sent, bounce, delivered)} == {email["delivery_id"]}
    assert (sent.sender, bounce.bounce_class, bounce.via) == ("news@example.net", "hard", "report")


async def test_an_email_of_no_provider_has_no_fields_for_an_api(posted: Room) -> None:
    answer = await posted.client.post("/v1/instrument", json={"sends": [an_email(lead="own")]})
    (email,) = answer.json()["emails"]
    assert "api_fields" not in email


async def test_a_bounce_that_also_comes_as_a_mail_is_two_events_of_one_email_that_bounced(posted: Room) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    token = sent(posted, "bounced-twice", campaign="twice")
    await sendgrid(posted, [payloads.sendgrid("bounce", datetime.now(UTC), sendlens=token)])
    (reported,) = written(posted)
    mail_id = str(event_id(reported.delivery_id, "bounce\x1freport-1@mx.example.com"))  # as the reader names a mail's
    mailed = msgspec.structs.replace(reported, id=mail_id, matched_by="verp")
    values = {"since": f"{before:%F %T}", "until": f"{datetime.now(UTC) + timedelta(seconds=1):%F %T}"}
    period = "since = {since:String}, until = {until:String}"
    numbers = f"SELECT sent, hard_bounced, delivered FROM headline({period}, campaigns = ['twice']) WHERE sent > 0"
    with connect(posted.settings) as client:
        insert_lines(client, "events", lines([reported, mailed]))
        assert client.query(numbers, parameters=values).result_rows == [(1, 1, 0)]
    timeline = (await posted.client.get("/v1/leads/bounced-twice/timeline")).json()
    assert [row["kind"] for row in timeline["happenings"]].count("bounce") == 2


async def test_an_email_that_is_not_stored_yet_is_asked_for_again_and_one_of_long_ago_is_given_up(posted: Room) -> None:
    """A return path names an email by its id alone: what campaign it is of, ClickHouse knows."""
    claim = Claim(delivery_id("spring", 1, "nobody"), "spring", 1, "A", "nobody", 1_790_000_000)
    verp = {"sender": f"bounce+{posted.settings.keyring.sign_bounce(claim)}@bounces.example.com"}
    now = datetime.now(UTC)
    soon = mailgun_body(payloads.mailgun("complained", now, envelope=verp), now)
    answer = await posted.client.post("/v1/providers/mailgun", json=soon)
    assert answer.status_code == 503
    sent(posted, "nobody")
    assert (await posted.client.post("/v1/providers/mailgun", json=soon)).json()["accepted"] == 1
    gone = Claim(delivery_id("spring", 1, "gone"), "spring", 1, "A", "gone", 1_790_000_000)
    verp = {"sender": f"bounce+{posted.settings.keyring.sign_bounce(gone)}@bounces.example.com"}
    late = mailgun_body(payloads.mailgun("complained", now - timedelta(hours=2), envelope=verp), now)
    assert (await posted.client.post("/v1/providers/mailgun", json=late)).json()["ignored"] == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[1]", b'{"event":"spam","ts_event":"soon"}', b'{"event":"spam","ts_event":1e300}', b"[" * 100_000],
)
async def test_what_is_no_report_is_refused_and_said_so(posted: Room, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
    answer = await posted.client.post("/v1/providers/brevo", content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (422, "malformed")


async def test_a_body_has_its_limit(posted: Room) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
    answer = await posted.client.post("/v1/providers/brevo", content=b" " * 5_000_001, headers=headers)
    assert answer.status_code == 413


async def test_a_provider_that_is_not_set_up_says_what_to_set(room: Room) -> None:
    for provider, setting in (("ses", "SES_TOPICS"), ("brevo", "BREVO_SECRET"), ("sendgrid", "SENDGRID_PUBLIC_KEY")):
        answer = await room.client.post(f"/v1/providers/{provider}", json={})
        assert answer.status_code == 404
        assert f"SENDLENS_{setting}" in answer.json()["detail"]
