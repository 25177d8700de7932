"""An entry of the suppression list becomes the fact that the gate looks up, or says what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decisions.effects.suppression_list import Entry, fact_of, known_as, reason_called
from decisions.sending.own_system import withheld
from schemas.errors import Reject
from schemas.events import Campaign, Lead
from schemas.tokens import Keyring
from tests.agents.mails import NOW, a_send

OLD = Keyring.parse("1:the-first-key-of-these-tests")
KEYS = Keyring.parse("2:the-second-key-of-these-tests,1:the-first-key-of-these-tests")
CAMPAIGN = Campaign(id="spring", name="Spring", created_at=NOW)


def refusal(entry: Entry) -> str:
    with pytest.raises(Reject) as refused:
        fact_of(entry, KEYS, NOW)
    return refused.value.reason


def mailed(to: str, *facts: Lead, lead: str = "lead-1") -> str:
    """The gate's word for an email to this address, when these facts are known; "" where it goes out."""
    known = {fact.key: fact for fact in facts}
    no = withheld(a_send(to=to, lead=lead), CAMPAIGN, None, known.get, keyring=KEYS, now=NOW)
    return "" if no is None else no.reason


@pytest.mark.parametrize("keyring", [KEYS, OLD])
def test_a_suppressed_address_gets_no_mail_however_it_is_written(keyring: Keyring) -> None:
    fact = fact_of(Entry(address="Ada <Ada@Example.COM>"), keyring, NOW)
    assert mailed("ada@example.com", fact) == "suppressed"
    assert mailed("bob@example.com", fact) == ""
    assert "ada" not in str(fact)


def test_a_pause_has_an_end_and_nothing_else_has() -> None:
    until = NOW + timedelta(days=30)
    fact = fact_of(Entry(lead="lead-1", reason="snoozed", until=until), KEYS, NOW)
    assert (fact.until, mailed("ada@example.com", fact)) == (until, "snoozed")
    assert refusal(Entry(lead="lead-1", reason="snoozed")) == "until-invalid"
    assert refusal(Entry(lead="lead-1", until=until)) == "until-invalid"


def test_a_suppressed_domain_holds_for_those_below_it_and_for_none_above() -> None:
    fact = fact_of(Entry(domain="@Mail.Example.org"), KEYS, NOW)
    assert mailed("ada@mail.example.org", fact) == "suppressed"
    assert mailed("ada@eu.mail.example.org", fact) == "suppressed"
    assert mailed("ada@example.org", fact) == ""
    assert mailed("ada@xmail.example.org", fact) == ""
    assert "example" not in str(fact)


def test_a_domain_is_one_in_whatever_script() -> None:
    assert mailed("ada@xn--bcher-kva.example", fact_of(Entry(domain="bücher.example"), KEYS, NOW)) == "suppressed"


def test_the_reason_is_what_the_email_is_skipped_for() -> None:
    assert mailed("ada@example.com", fact_of(Entry(address="ada@example.com", reason="complained"), KEYS, NOW)) == (
        "complained"
    )
    assert mailed("ada@example.com", fact_of(Entry(lead="lead-1", reason="unsubscribed"), KEYS, NOW)) == "unsubscribed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "malformed"),
        ({"address": "ada@example.com", "lead": "lead-1"}, "malformed"),
        ({"address": "ada"}, "address-invalid"),
        ({"domain": "com"}, "domain-invalid"),
        ({"domain": "ada@example.com"}, "domain-invalid"),
        ({"domain": "a" * 300 + ".example"}, "domain-invalid"),
        ({"lead": "a\x1fb"}, "control-character"),
        ({"lead": "ü" * 33}, "id-too-long"),
        ({"lead": "lead-1", "reason": "replied"}, "reason-unknown"),
        ({"domain": "example.org", "reason": "complained"}, "reason-unknown"),
        ({"lead": "lead-1", "source": "=cmd()"}, "source-invalid"),
        ({"lead": "lead-1", "since": NOW + timedelta(hours=1)}, "since-future"),
        ({"hashed": "ada@example.com", "of": "address"}, "id-invalid"),
        ({"hashed": "0" * 32, "of": "hashed-lead"}, "of-unknown"),
        ({"address": "ada@example.com", "reason": "erased"}, "reason-unknown"),
        ({"lead": "lead-1", "reason": "erased"}, "reason-unknown"),
        ({"hashed": "0" * 32, "of": "domain", "reason": "erased"}, "reason-unknown"),
        ({"hashed": "0" * 31, "of": "hashed-lead", "reason": "erased"}, "id-invalid"),
    ],
)
def test_what_is_wrong_has_its_reason(fields: dict[str, Any], reason: str) -> None:
    assert refusal(Entry(**fields)) == reason


def test_a_fact_is_never_later_than_now() -> None:
    """A clock that is ahead would outvote a person who comes back."""
    entry = Entry(lead="lead-1", since=NOW + timedelta(minutes=2))
    assert fact_of(entry, KEYS, NOW).at == NOW
    assert fact_of(Entry(lead="lead-1", since=datetime(2020, 1, 2, tzinfo=UTC)), KEYS, NOW).at.year == 2020


def test_an_export_is_taken_back_by_its_ids() -> None:
    fact = fact_of(Entry(address="ada@example.com"), KEYS, NOW)
    assert fact_of(Entry(hashed=fact.lead, of=fact.of), KEYS, NOW) == fact


def test_who_was_erased_is_taken_from_an_export_by_hash_and_gets_no_mail() -> None:
    address = fact_of(Entry(hashed=KEYS.address_ids("ada@example.com")[0], of="address", reason="erased"), KEYS, NOW)
    lead = fact_of(Entry(hashed=KEYS.lead_ids("lead-1")[0], of="hashed-lead", reason="erased"), KEYS, NOW)
    assert mailed("ada@example.com", address) == "erased"
    assert mailed("bob@example.com", lead) == "erased"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "suppressed"),
        ("Hard Bounce", "invalid"),
        ("hard_bounce", "invalid"),
        ("HardBounce", "invalid"),
        ("SpamComplaint", "complained"),
        ("unsubscribed", "unsubscribed"),
        ("ManualSuppression", "suppressed"),
    ],
)
def test_the_words_of_other_systems_are_known(word: str, reason: str) -> None:
    assert reason_called(word) == reason


def test_a_word_that_nobody_knows_is_no_reason() -> None:
    with pytest.raises(Reject, match="moon"):
        reason_called("full moon")


def test_somebody_is_looked_up_by_every_key_there_is() -> None:
    assert known_as(KEYS, address="ada@example.com")["address"] == list(KEYS.address_ids("ada@example.com"))
    (names,) = known_as(KEYS, domain="mail.example.org").values()
    assert names == [KEYS.domain_ids("mail.example.org")[0], OLD.domain_ids("mail.example.org")[0]]
    with pytest.raises(Reject, match="one of"):
        known_as(KEYS, address="ada@example.com", lead="lead-1")
