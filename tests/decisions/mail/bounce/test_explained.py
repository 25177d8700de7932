"""What decided is told: `sendlens judge mail --explain` prints these rows."""

from __future__ import annotations

import pytest

from decisions.mail.read import explain_mail
from tests.decisions.mail.bounce.reports import in_words, of_postfix, of_sendmail, with_status

LEE = "lee@target.example"


def rows(mail: str) -> set[tuple[str, str]]:
    """Name and place of the evidence about the recipient."""
    return {(each.name, each.where) for each in explain_mail(mail.encode())[1] if each.about == LEE}


@pytest.mark.parametrize(
    ("mail", "name", "where"),
    [
        (of_sendmail("550 Account suspended"), "guessed-code", "5.1.1"),
        (of_postfix("it failed", "550 5.7.0 Mailbox full"), "full-mailbox", "5.7.0"),
        (of_postfix("it failed", "552 aborted"), "storage-reply", "5.0.0"),
        (of_postfix("it failed", "550 5.7.1 Message size exceeds the limit"), "too-big", "5.7.1"),
        (
            with_status("It failed.", f"Final-Recipient: rfc822; x@inner.example\nOriginal-Recipient: rfc822; {LEE}"),
            "delivery-status",
            "original-recipient",
        ),
        (in_words(f"<x@inner.example> (expanded from <{LEE}>): no such user"), "expanded-from", "x@inner.example"),
        (in_words(f"The following addresses failed:\n\n  {LEE} (no such user)"), "listed-as-failed", "line 3"),
        (in_words(f"Mail addressed to {LEE} failed: no such user"), "addressed-to", "line 1"),
    ],
)
def test_each_new_sign_says_its_name_and_where_it_was_found(mail: str, name: str, where: str) -> None:
    assert (name, where) in rows(mail)
