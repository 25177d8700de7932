"""Bounces as servers write them, for the tests beside this file: words alone, with a delivery status, of Sendmail."""

from __future__ import annotations

from decisions.mail.read import read_mail

OURS = "sales@sender.example"
_HEAD = "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@relay.example>\nTo: {to}\nSubject: {subject}\n"


def in_words(words: str, subject: str = "Undelivered Mail Returned to Sender") -> str:
    """A bounce in plain text alone."""
    return _HEAD.format(to=OURS, subject=subject) + f"\n{words}\n"


def with_status(
    words: str, fields: str, returned: str = "", subject: str = "Undelivered Mail Returned to Sender"
) -> str:
    """A delivery status notification: the words for people, the fields of recipients, and the returned mail's header."""
    parts = [
        f"Content-Type: text/plain; charset=utf-8\n\n{words}\n",
        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\n\n{fields}\n",
        *([f"Content-Type: message/rfc822\n\n{returned}\n"] if returned else []),
    ]
    body = "".join(f"--b\n{part}\n" for part in parts) + "--b--\n"
    kind = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\nMIME-Version: 1.0\n"
    return _HEAD.format(to=OURS, subject=subject) + kind + f"\n{body}"


def of_postfix(said: str, diagnostic: str, status: str = "5.0.0", to: str = "lee@target.example") -> str:
    """Postfix: `said` is what it tells people, wrapped as it wraps it; `diagnostic` the field."""
    fields = f"Final-Recipient: rfc822; {to}\nAction: failed\nStatus: {status}\nDiagnostic-Code: smtp; {diagnostic}"
    return with_status(f"This is the mail system at host relay.example.\n\n<{to}>: {said}", fields)


def of_sendmail(reply: str, *, status: str = "5.1.1", own: str = "User unknown", in_fields: bool = True) -> str:
    """Sendmail: the server's `reply`, and the status and the words that Sendmail makes of its three digits."""
    words = (
        "   ----- The following addresses had permanent fatal errors -----\n<lee@target.example>\n"
        f"    (reason: {reply})\n\n   ----- Transcript of session follows -----\n... while talking to mx.target.example.:\n"
        f">>> RCPT To:<lee@target.example>\n<<< {reply}\n550 {status} <lee@target.example>... {own}"
    )
    fields = (
        f"Final-Recipient: RFC822; lee@target.example\nAction: failed\nStatus: {status}\n"
        f"Remote-MTA: DNS; mx.target.example\nDiagnostic-Code: SMTP; {reply}"
    )
    subject = "Returned mail: see transcript for details"
    return with_status(words, fields, subject=subject) if in_fields else in_words(words, subject)


def read(mail: str) -> list[tuple[str, str]]:
    """Each recipient of a bounce, and its class."""
    verdict = read_mail(mail.encode())
    assert verdict.kind == "bounce", verdict.reason
    return [(one.address, one.bounce_class) for one in verdict.recipients]
