"""The class of a bounce: what its server's own words say, wherever lines break and whatever code stands before them."""

from __future__ import annotations

import pytest

from decisions.mail.bounce.refusal import assess, categorise
from tests.decisions.mail.bounce.reports import in_words, of_postfix, of_sendmail, read

LEE = "lee@target.example"


@pytest.mark.parametrize("between", [" ", "\n    ", "\n\t"])
@pytest.mark.parametrize(
    ("said", "diagnostic", "bounce_class"),
    [
        ("550 no such mailbox (in reply to end of~DATA command)", "550 no such mailbox", "unknown"),
        ("550 no such mailbox (in reply to~end of DATA command)", "550 no such mailbox", "unknown"),
        ("550 unknown user (in~reply to MAIL FROM command)", "550 unknown user", "block"),
        ("550 unknown user (in reply to MAIL~FROM command)", "550 unknown user", "block"),
        ("550 unknown user (in reply to RCPT~TO command)", "550 unknown user", "hard"),
        ("550 the mailbox is~full", "550 the mailbox is~full", "soft"),
    ],
)
def test_where_a_line_breaks_changes_no_class(between: str, said: str, diagnostic: str, bounce_class: str) -> None:
    said, diagnostic = said.replace("~", between), diagnostic.replace("~", between)
    said = f"host mx.target.example[192.0.2.7] said:\n    {said}"
    assert read(of_postfix(said, diagnostic)) == [(LEE, bounce_class)]


def test_words_without_spaces_may_break_anywhere() -> None:
    assert assess("550 宛先のユーザが存\n    在しません").category.bounce_class == "hard"


@pytest.mark.parametrize(
    "text",
    [
        "550 5.7.1 <lee@target.example>: Recipient address rejected: No such user here",
        "550 5.7.0 Unknown user",
        "554 5.7.1 The recipient mailbox does not exist",
    ],
)
def test_no_such_user_beats_a_code_that_says_no_more_than_policy(text: str) -> None:
    assert assess(text).category.bounce_class == "hard"
    assert read(of_postfix(f"host mx.target.example[192.0.2.7] said: {text}", text, "5.7.1")) == [(LEE, "hard")]


@pytest.mark.parametrize(
    "text",
    [
        "550 5.7.1 Rejected by policy, or no such user",
        "550 5.7.606 No such user, or your IP is banned",
        "550 5.7.26 User unknown",
        "550 5.7.1 Recipient address rejected: Access denied",
        "550 5.7.1 Sender address rejected: user unknown",
    ],
)
def test_but_a_policy_that_is_named_stays_one(text: str) -> None:
    assert assess(text).category.bounce_class == "block"


@pytest.mark.parametrize("code", ["550 5.7.0", "554 5.7.1", "550 5.1.1", "552 5.3.4", "550 5.4.1", "554", "552 5.2.2"])
@pytest.mark.parametrize(
    "words",
    [
        "Mailbox full",
        "The recipient's mailbox has exceeded its storage limit",
        "permission denied. Command output: user is over quota",
    ],
)
def test_a_full_mailbox_is_soft_whatever_its_code(code: str, words: str) -> None:
    told = assess(f"{code} {words}").category
    assert (told.bounce_class, told.category) == ("soft", "mailbox-full")


@pytest.mark.parametrize(
    "text",
    [
        "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
        "550 5.7.1 RESOLVER.RST.SendSizeLimit.User; the message exceeds the sender's limit",
        "554 5.7.1 Message size exceeds the maximum of this server",
    ],
)
def test_a_mail_that_is_too_big_says_nothing_of_its_address(text: str) -> None:
    told = assess(text).category
    assert (told.bounce_class, told.category) == ("soft", "too-big")


def test_a_limit_on_what_we_send_is_no_full_mailbox() -> None:
    assert categorise(550, "5.7.1", "5.7.1 Your account exceeded its daily sending limit").category != "mailbox-full"


@pytest.mark.parametrize("in_fields", [True, False])
@pytest.mark.parametrize(
    ("reply", "bounce_class"),
    [
        ("550 Access denied", "block"),
        ("550 This account has been suspended", "soft"),
        ("550 Mailbox disabled for this recipient", "soft"),
        ("550 We are not accepting mail from your domain", "block"),
        ("550 Your host is on our black list", "block"),
        ("550 Recipient over quota", "soft"),
        ("550 No such person at this address", "hard"),
        ("550 Requested action not taken", "hard"),
    ],
)
def test_what_sendmail_makes_of_550_is_weaker_than_the_servers_words(
    reply: str, bounce_class: str, in_fields: bool
) -> None:
    assert read(of_sendmail(reply, in_fields=in_fields)) == [(LEE, bounce_class)]


def test_a_code_that_the_server_says_itself_stands() -> None:
    assert read(of_sendmail("550 5.1.1 Account disabled")) == [(LEE, "hard")]
    assert read(of_sendmail("550 5.1.1 Account disabled", in_fields=False)) == [(LEE, "hard")]


@pytest.mark.parametrize(
    ("words", "bounce_class"),
    [
        ("All attempts to reach the server failed for 3 days. Verify that the recipient's address is correct.", "soft"),
        ("The connection timed out. Please make sure the address exists and try once more.", "soft"),
        ("It was refused by the spam filter. If this user is unknown to you, tell your administrator.", "block"),
        ("The mailbox is full. Please check for typos: an invalid address cannot be delivered to.", "soft"),
        ("It could not be delivered.\nPlease verify the recipient address and send it\nagain.", "unknown"),
        ("Es gab keine Antwort (timeout). Bitte prüfen Sie, ob die Adresse ungültig ist.", "soft"),
        ("Le délai a expiré (timeout). Veuillez vérifier que l'adresse n'est pas invalide.", "soft"),
        ("There is no such user. Please check the address.", "hard"),
        ("The address could not be found. Check it for mistakes.", "hard"),
        ("User unknown, please verify that you spelled the address right", "hard"),
    ],
)
def test_advice_and_conditions_are_no_verdict(words: str, bounce_class: str) -> None:
    assert read(in_words(f"Your message could not be delivered to:\n\n{LEE}\n\n{words}")) == [(LEE, bounce_class)]


@pytest.mark.parametrize(
    "reply",
    [
        "550 Ihr Postfach wurde gesperrt",
        "550 Le compte de ce client est suspendu",
        "550 La cuenta ha sido desactivada",
        "550 La casella di questo utente risulta sospesa",
        "550 Konto zostało zablokowane",
    ],
)
def test_a_mailbox_that_is_closed_for_a_while_is_not_dead_in_any_language(reply: str) -> None:
    assert read(of_sendmail(reply)) == [(LEE, "soft")]
    assert assess(reply).category.bounce_class == "soft"


def test_whose_sender_is_not_verified_is_about_us() -> None:
    """Exim names the sender and what its own server said of it."""
    said = (
        "550-Verification failed for <sales@sender.example>\n550-The mail server could not deliver mail to"
        " sales@sender.example.\n550-The account or domain may not exist, they may be blacklisted\n550 Sender verify failed"
    )
    assert assess(said).category.bounce_class == "block"
    assert assess(said.partition("\n")[0]).category.bounce_class == "block"
    assert assess("550 Callback verification: no such user sales@sender.example").category.bounce_class == "block"
    assert assess("550 mailbox unavailable invalid DNS MX or A/AAAA resource record").category.bounce_class == "block"


@pytest.mark.parametrize(
    "text",
    [
        "550 5.1.1 Recipient unknown, or your server is in a blacklist",
        "550 your host is listed at dnsbl.example; no such user",
        "554 banned for poor reputation, user unknown",
    ],
)
def test_who_names_a_block_list_says_nothing_of_the_address(text: str) -> None:
    assert assess(text).category.bounce_class == "block"


def test_but_a_server_that_supposes_one_names_none() -> None:
    text = "The account or domain may not exist, they may be blacklisted, or missing the proper dns entries."
    assert assess(text).category.bounce_class == "hard"
