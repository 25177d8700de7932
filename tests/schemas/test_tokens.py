"""Tokens: what was signed comes back, and nothing else does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.errors import Misconfigured, Reject
from schemas.tokens import (
    MAX_LISTS,
    MAX_TEXT_BYTES,
    BadToken,
    BounceClaim,
    Claim,
    Keyring,
    Purpose,
    delivery_id,
    event_id,
    event_id_text,
)

RING = Keyring.parse("7:a secret of these tests alone")
LINKED = [purpose for purpose in Purpose if purpose is not Purpose.BOUNCE]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_TEXT_BYTES).filter(
    lambda text: len(text.encode()) <= MAX_TEXT_BYTES
)
claims = st.builds(Claim, st.uuids(), texts, st.integers(0, 255), texts, texts, st.integers(0, 2**32 - 1))
purposes = st.sampled_from(LINKED)


def reason(verify: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(BadToken) as caught:
        verify(*arguments)
    return caught.value.reason


@given(purposes, claims)
def test_what_was_signed_comes_back(purpose: Purpose, claim: Claim) -> None:
    token = RING.sign(purpose, claim)
    assert RING.verify(purpose, token) == claim
    assert len(token) <= 400
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(claims, st.lists(texts.filter(bool), max_size=MAX_LISTS).map(tuple))
def test_an_unsubscribe_token_has_the_emails_lists_and_no_other_has(claim: Claim, lists: tuple[str, ...]) -> None:
    named = replace(claim, lists=lists)
    token = RING.sign(Purpose.UNSUBSCRIBE, named)
    assert RING.verify(Purpose.UNSUBSCRIBE, token) == named
    assert len(token) < 650
    assert RING.sign(Purpose.OPEN, named) == RING.sign(Purpose.OPEN, claim)


@given(purposes, claims, st.data())
def test_one_bit_more_or_less_proves_nothing(purpose: Purpose, claim: Claim, data: st.DataObject) -> None:
    token = RING.sign(purpose, claim)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert reason(RING.verify, purpose, changed) in {"signature", "key"}


@given(purposes, claims, st.data())
def test_another_character_proves_nothing(purpose: Purpose, claim: Claim, data: st.DataObject) -> None:
    """Also where base64 has bits to spare: one claim has one spelling."""
    token = RING.sign(purpose, claim)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCXYZabcxyz019-_").filter(lambda c: c != token[at]))
    assert reason(RING.verify, purpose, token[:at] + other + token[at + 1 :]) in {"signature", "key", "malformed"}


@given(purposes, claims, st.sampled_from("=+/ \n\x00ü"), st.data())
def test_a_character_that_no_token_has_proves_nothing_wherever_it_stands(
    purpose: Purpose, claim: Claim, other: str, data: st.DataObject
) -> None:
    token = RING.sign(purpose, claim)
    at = data.draw(st.integers(0, len(token)))
    for changed in (token[:at] + other + token[at:], token[:at] + other + token[at + 1 :]):
        assert reason(RING.verify, purpose, changed) == "malformed"


def test_the_alphabet_of_plain_base64_is_none_of_ours() -> None:
    tokens = [RING.sign(Purpose.OPEN, Claim(UUID(int=n), "", 0, "", "", n)) for n in range(50)]
    assert any("-" in token for token in tokens)
    assert any("_" in token for token in tokens)
    for token in tokens:
        plain = token.replace("-", "+").replace("_", "/")
        for other in {plain, token + "=" * (-len(token) % 4)} - {token}:
            assert reason(RING.verify, Purpose.OPEN, other) == "malformed"


@given(purposes, claims, st.integers(1, 30))
def test_a_truncated_token_proves_nothing(purpose: Purpose, claim: Claim, cut: int) -> None:
    assert reason(RING.verify, purpose, RING.sign(purpose, claim)[:-cut]) in {"signature", "malformed"}


@given(claims, purposes, purposes)
def test_a_token_is_good_for_its_purpose_alone(claim: Claim, signed: Purpose, asked: Purpose) -> None:
    token = RING.sign(signed, claim)
    if signed is asked:
        assert RING.verify(asked, token) == claim
    else:
        assert reason(RING.verify, asked, token) == "purpose"


@given(claims)
def test_after_a_rotation_old_tokens_verify_and_new_ones_are_signed_by_the_new_key(claim: Claim) -> None:
    old = Keyring.parse("1:the old secret of 16+ bytes")
    both = Keyring.parse("2:the new secret of 16+ bytes,1:the old secret of 16+ bytes")
    assert both.verify(Purpose.OPEN, old.sign(Purpose.OPEN, claim)) == claim
    assert reason(old.verify, Purpose.OPEN, both.sign(Purpose.OPEN, claim)) == "key"


@given(claims)
def test_the_same_key_id_with_another_secret_proves_nothing(claim: Claim) -> None:
    other = Keyring.parse("7:not the secret of these tests")
    assert reason(RING.verify, Purpose.OPEN, other.sign(Purpose.OPEN, claim)) == "signature"


@given(st.one_of(st.text(max_size=600), st.text("ABCabc019-_", min_size=20, max_size=400)))
def test_no_text_raises_anything_but_bad_token(text: str) -> None:
    for purpose in Purpose:
        assert reason(RING.verify, purpose, text)
    assert reason(RING.verify_bounce, text)


@given(st.binary(min_size=20, max_size=250))
def test_bytes_signed_by_us_that_are_no_claim_are_malformed(body: bytes) -> None:
    """Only a bug of ours could make such a token; it is refused all the same, and is no crash."""
    signed = bytes([7, Purpose.OPEN.value]) + body
    token = base64.urlsafe_b64encode(signed + RING._mac(7, signed, 16)).rstrip(b"=").decode()
    try:
        found = RING.sign(Purpose.OPEN, RING.verify(Purpose.OPEN, token))
    except BadToken as bad:
        found = bad.reason
    assert found in {"malformed", token}


@given(claims, st.randoms(use_true_random=False))
def test_a_verp_token_survives_any_change_of_case_and_fits_a_local_part(claim: Claim, random: Random) -> None:
    token = RING.sign_bounce(claim)
    mixed = "".join(c.upper() if random.random() < 0.5 else c for c in token)
    want = BounceClaim(claim.delivery_id, claim.minted_at)
    assert RING.verify_bounce(token) == RING.verify_bounce(mixed) == RING.verify_bounce(token.upper()) == want
    assert len(f"bounce+{token}".encode()) <= 64
    assert token.isalnum()


@given(claims, st.data())
def test_a_verp_token_with_one_bit_changed_proves_nothing(claim: Claim, data: st.DataObject) -> None:
    token = RING.sign_bounce(claim)
    raw = bytearray(base64.b32decode(token.upper() + "=" * (-len(token) % 8)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert reason(RING.verify_bounce, base64.b32encode(bytes(raw)).rstrip(b"=").decode()) in {"signature", "key"}


def test_an_id_that_does_not_fit_is_refused_when_it_is_signed() -> None:
    fits = Claim(UUID(int=1), "é" * 32, 0, "", "x" * 64, 0)
    assert RING.verify(Purpose.OPEN, RING.sign(Purpose.OPEN, fits)) == fits
    for claim, why in (
        (Claim(UUID(int=1), "é" * 33, 0, "", "", 0), "id-too-long"),
        (Claim(UUID(int=1), "", 256, "", "", 0), "step-out-of-range"),
    ):
        with pytest.raises(Reject) as caught:
            RING.sign(Purpose.OPEN, claim)
        assert caught.value.reason == why


@given(texts, texts)
def test_a_link_id_says_nothing_of_where_it_leads_and_is_the_same_each_time(campaign: str, url: str) -> None:
    link = RING.link_id(campaign, url)
    assert link == RING.link_id(campaign, url)
    assert len(link) == 64
    assert int(link, 16) >= 0
    assert link != Keyring.parse("7:not the secret of these tests").link_id(campaign, url)


def test_ids_follow_from_their_cause() -> None:
    assert delivery_id("c", 1, "l") == delivery_id("c", 1, "l") != delivery_id("c", 2, "l")
    assert event_id(delivery_id("c", 1, "l"), "sent") != event_id(delivery_id("c", 1, "l"), "bounce")
    assert delivery_id("a", 1, "1b").version == 5


@given(texts, texts)
def test_an_events_id_as_text_is_the_same_id(cause: str, kind: str) -> None:
    assert event_id_text(cause, kind) == str(event_id(cause, kind))


@pytest.mark.parametrize("text", ["", " , ", "1", "1:short", "x:a secret of 16 bytes", "256:a secret of 16 bytes"])
def test_keys_that_cannot_be_used_are_named_without_the_secret(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Keyring.parse(text)
    assert "SENDLENS_TOKEN_KEYS" in str(caught.value)
    assert "secret of 16" not in str(caught.value)


def test_a_key_id_given_twice_is_refused() -> None:
    with pytest.raises(Misconfigured, match="twice"):
        Keyring.parse("1:a secret of 16 bytes,1:another of 16 bytes..")
