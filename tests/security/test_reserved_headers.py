"""One list of reserved headers: what `/v1` takes the sender sends, and what it refuses it says why."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ingest.api.requests import SendRequest, check_send
from schemas.errors import Reject
from schemas.headers import RESERVED, RESERVED_BEGINNINGS
from tests.agents.mails import a_send, instrumented
from tests.ingest.api.test_sends import a_send as a_body
from tests.ingest.api.test_sends import spring
from tests.ingest.conftest import room, settings, settings_for
from tests.ingest.room import Room

__all__ = ["room", "settings", "settings_for", "spring"]  # fixtures

# Said here once more, because a name that falls out of the list should fail a test.
REFUSED = [
    "From", "To", "Cc", "Bcc", "Sender", "Subject", "Date", "Message-ID", "MIME-Version", "List-Unsubscribe",
    "List-Unsubscribe-Post", "Return-Path", "Received", "Authentication-Results", "DKIM-Signature", "Apparently-To",
    "Errors-To", "Disposition-Notification-To", "Return-Receipt-To", "ARC-Seal", "ARC-Message-Signature",
    "ARC-Authentication-Results", "ARC-Whatever", "Resent-To", "Content-Type", "Content-Transfer-Encoding",
    "X-Sendlens-Anything", "errors-to", "ARC-", "dIsPoSiTiOn-NoTiFiCaTiOn-To",
]  # fmt: skip

reserved = st.sampled_from([*RESERVED, *(f"{beginning}x" for beginning in RESERVED_BEGINNINGS)])
cased = st.tuples(reserved, st.integers(0, 2**20)).map(
    lambda one: "".join(c.upper() if one[1] >> n & 1 else c for n, c in enumerate(one[0]))
)
names = cased | st.text(st.characters(min_codepoint=32, max_codepoint=127), max_size=80) | st.text(max_size=10)
values = st.text(max_size=60) | st.text(st.sampled_from(" ab\t\r\n\x1bö\u202e=?"), max_size=950) | st.just("w" * 900)


def refusal(headers: dict[str, str]) -> Reject | None:
    try:
        check_send(msgspec.convert(a_body(headers=headers), SendRequest))
    except Reject as refused:
        return refused
    return None


@pytest.mark.parametrize("name", REFUSED)
def test_a_reserved_header_is_refused_by_both_with_the_same_reason(name: str) -> None:
    refused = refusal({name: "x"})
    assert refused is not None
    assert (refused.reason, refused.detail.partition(":")[0]) == ("header-forbidden", name)
    assert refused.detail.partition(": ")[2]
    with pytest.raises(Reject, match="header-forbidden"):
        instrumented(a_send(headers={name: "x"}))


@effort(max_examples=400)
@example({"X-A": ""})
@example({"X-A": " "})
@example({"X-A": "w" * 900})
@example({"Reply-To": "ada@example.com", "reply-to": "ada@example.org"})
@example({"a" * 76: "ö" * 450})
@given(st.dictionaries(names, values, max_size=4))
def test_what_the_api_takes_the_sender_sends_and_nothing_else(headers: dict[str, str]) -> None:
    refused = refusal(headers)
    if refused is not None:
        with pytest.raises(Reject) as rejected:
            instrumented(a_send(headers=headers))
        assert (rejected.value.reason, rejected.value.detail) == (refused.reason, refused.detail)
        return
    message = instrumented(a_send(headers=headers)).message
    written = email.message_from_bytes(message, policy=email.policy.compat32)
    for name in headers:
        assert written.get_all(name)
    assert [name for name in written if name.lower() in ("from", "to", "subject", "date")] == [
        "From", "To", "Subject", "Date",
    ]  # fmt: skip
    assert max(map(len, message.split(b"\r\n"))) <= 998


async def test_the_api_refuses_each_with_422_and_says_why(spring: Room) -> None:
    wrong: list[tuple[dict[str, str], str]] = [
        *(({name: "x"}, "header-forbidden") for name in REFUSED),
        ({"X-A": "a\r\nBcc: eve@example.com"}, "control-character"),
        ({"X-A": "\x1b[31m"}, "control-character"),
        ({"X A": "b"}, "header-invalid"),
        ({"X-A": "b" * 901}, "too-large"),
    ]
    bodies: list[dict[str, Any]] = [a_body(lead=f"l{n}", headers=headers) for n, (headers, _) in enumerate(wrong)]
    answer = await spring.client.post("/v1/sends", json={"sends": bodies})
    assert answer.status_code == 422
    for one, (headers, reason) in zip(answer.json()["rejected"], wrong, strict=True):
        assert one["reason"] == reason
        assert next(iter(headers)) in one["detail"]
