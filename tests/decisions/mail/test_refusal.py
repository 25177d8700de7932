"""What a refusal in session says about the address. Texts are those of the providers that send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.mail.bounce.category import Stage
from decisions.mail.bounce.codes import enhanced_status
from decisions.mail.bounce.phrases import told_by
from decisions.mail.bounce.refusal import assess, categorise


@pytest.mark.parametrize(
    ("code", "text", "bounce_class"),
    [
        (550, "5.1.1 The email account that you tried to reach does not exist.", "hard"),
        (550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", "hard"),
        (550, "5.4.1 Recipient address rejected: Access denied.", "hard"),
        (550, "5.4.4 NXDOMAIN", "hard"),
        (554, "5.7.17 Mailbox owner has changed", "hard"),
        (550, "No such user here", "hard"),
        (550, "5.0.0 <ada@example.com>: User unknown", "hard"),
        (
            554,
            "30 Sorry, your message to ada@example.com cannot be delivered. This mailbox is disabled (554.30).",
            "hard",
        ),
        (550, "5.1.1 <spam@example.com>: Recipient address rejected: User unknown", "hard"),
        (552, "5.2.2 Mailbox full", "soft"),
        (550, "5.1.1 mailbox is full", "soft"),
        (552, "5.3.4 Message size exceeds fixed limit", "soft"),
        (554, "5.6.0 Message content rejected", "soft"),
        (550, "5.4.1 routing trouble", "soft"),
        (550, "5.7.1 Our system has detected that this message is likely unsolicited mail.", "block"),
        (550, "5.7.606 Access denied, banned sending IP [192.0.2.1]", "block"),
        (550, "Rejected by header based Anti-Spoofing policy", "block"),
        (550, "5.1.1 Service unavailable; client host blocked using zen.spamhaus.org", "block"),
        (553, "5.1.8 Sender domain does not exist", "block"),
        (554, "Transaction failed", "unknown"),
        (450, "4.2.1 The user you are trying to contact is receiving mail too quickly", "soft"),
        (452, "4.2.2 The email account that you tried to reach is over quota", "soft"),
        (421, "4.7.0 [TSS04] Messages temporarily deferred due to user complaints", "soft"),
        (451, "Greylisted, please try again in 180 seconds", "soft"),
        (450, "4.1.1 User unknown", "soft"),
    ],
)
def test_a_reply_has_the_class_its_provider_means(code: int, text: str, bounce_class: str) -> None:
    assert categorise(code, enhanced_status(code, text), text).bounce_class == bounce_class


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
@pytest.mark.parametrize(
    "status", ["5.2.2", "5.2.3", "5.3.4", "5.1.7", "5.1.8", "5.3.0", "5.4.0", "5.5.0", "5.6.0", "5.7.1"]
)
def test_codes_that_do_not_speak_of_the_address_never_make_it_dead(status: str, stage: Stage) -> None:
    assert categorise(550, status, "refused", stage).bounce_class != "hard"


def test_a_refused_sender_says_nothing_about_the_recipient() -> None:
    assert categorise(550, "550", "unknown user", "mail").bounce_class == "block"


@pytest.mark.parametrize(
    ("text", "status"),
    [("5.1.1 no", "5.1.1"), ("no 5.1.1", "550"), ("", "550"), ("5.7.606 x", "5.7.606"), ("5.1.1234", "550")],
)
def test_the_enhanced_status_is_what_the_reply_begins_with(text: str, status: str) -> None:
    assert enhanced_status(550, text) == status


@pytest.mark.parametrize(
    ("text", "status", "bounce_class", "code"),
    [
        ("550 5.1.1 <ada@example.com>... User unknown", "5.0.0", "hard", "5.1.1"),
        ("552 5.2.2 over quota", "5.1.1", "soft", "5.2.2"),  # the code in the diagnostic beats the field
        ("host mx.example.com said: 554 5.7.1 rejected", "5.1.1", "block", "5.7.1"),
        ("", "5.1.1", "hard", "5.1.1"),
        ("", "4.4.7", "soft", "4.4.7"),
        ("", "", "unknown", ""),
        ("Unrouteable address", "", "hard", ""),
        ("5.1.0 - Unknown address error 550-'5.2.2 <ada@example.com>... Mailbox Full'", "5.0.0", "soft", "5.2.2"),
        ("smtp;550 5.0.350 Remote server returned an error -> 550 5.1.1 no such user", "5.0.350", "hard", "5.1.1"),
        ("554 5.7.1 [192.0.2.1] is listed; 550 5.1.1 User unknown", "", "block", "5.7.1"),
        ("550 5.7.1 User unknown", "", "hard", "5.7.1"),
        ("550 5.7.1 User unknown to our policy", "", "block", "5.7.1"),
        ("550 5.7.27 Host does not accept mail", "", "hard", "5.7.27"),
        ("550 Requested action not taken: mailbox unavailable", "", "hard", "550"),
        ("450 4.2.0 mailbox unavailable", "", "soft", "4.2.0"),
        ("554 delivery error: dd This user doesn't have an example.com account", "", "hard", "554"),
        ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "", "block", "5.7.1"),
        ("550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", "", "block", "5.7.26"),
        ("550 Adresse destinataire inconnue", "", "hard", "550"),
        ("宛先のユーザが存在しません", "", "hard", ""),
        ("550 用户不存在", "", "hard", "550"),
    ],
)
def test_a_diagnostic_in_a_mail_is_read_as_one_in_session(text: str, status: str, bounce_class: str, code: str) -> None:
    told = assess(text, status)
    assert (told.category.bounce_class, told.status) == (bounce_class, code)


@given(
    st.sampled_from(["4.1.1", "4.2.2", "4.4.4", "4.7.0", "5.7.26", "5.7.606", "5.2.2", "5.1.8", "5.6.0"]),
    st.sampled_from(["User unknown", "no such user", "mailbox not found", "Host unknown", "address rejected", "", "x"]),
    st.sampled_from(["connect", "mail", "rcpt", "data"]),
)
def test_no_words_make_these_codes_hard(status: str, text: str, stage: Stage) -> None:
    code = int(status[0]) * 100 + 50
    assert categorise(code, status, text, stage).bounce_class != "hard"
    assert assess(f"{code} {status} {text}", status, stage).category.bounce_class != "hard"


@given(st.text(max_size=400), st.text(max_size=20))
def test_any_text_has_a_class(text: str, status: str) -> None:
    assess(text, status)
    told_by(text)


def test_user_unknown_after_the_mail_was_taken_is_hard_with_its_own_code_alone() -> None:
    assert assess("550 Unknown user ada@example.com", "", "data").category.bounce_class == "unknown"
    assert assess("550 5.1.1 Unknown user ada@example.com", "", "data").category.bounce_class == "hard"
