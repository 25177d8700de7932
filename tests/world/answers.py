"""The mails that come back to a sender, as the world's recipients and their servers write them.

Each is made of the email that it answers, so that it carries what a real one would: the return path it was sent to, the
Message-ID it refers to, the headers that a report returns.
"""

from __future__ import annotations

from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid

_HOST = "mx.example.net"
_RETURNED = ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")


def reply(original: Message, person: str, words: str) -> bytes:
    """A person answers, above the quoted email, with a signature."""
    mail = _answer(original, person, f"Re: {original['Subject']}")
    mail.set_content(
        f"{words}\n\nBest regards\n-- \n{person}\n\nOn Mon, 2 Mar 2026 at 09:00, {original['From']} wrote:\n"
        "> The seeds of the season are in.\n> When do you sow?\n"
    )
    return mail.as_bytes()


def out_of_office(original: Message, person: str) -> bytes:
    """The person's mailbox answers (RFC 3834)."""
    mail = _answer(original, person, f"Automatic reply: {original['Subject']}")
    mail["Auto-Submitted"] = "auto-replied"
    mail.set_content("I am out of the office until Monday and will read your email then.\n")
    return mail.as_bytes()


def bounce(original: Message, return_path: str, recipient: str, status: str, diagnostic: str) -> bytes:
    """A server that took the email first could not deliver it after all (RFC 3464)."""
    return _report(
        original,
        kind="delivery-status",
        headers=f"From: Mail Delivery System <MAILER-DAEMON@{_HOST}>\nTo: {return_path}\n"
        "Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\n",
        text=f"Your message could not be delivered.\n\n<{recipient}>: {diagnostic}\n",
        fields=f"Reporting-MTA: dns; {_HOST}\n\nFinal-Recipient: rfc822; {recipient}\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {diagnostic}\n",
    )


def complaint(original: Message, mailbox: str) -> bytes:
    """The mailbox provider tells that somebody pressed "spam" (RFC 5965)."""
    return _report(
        original,
        kind="feedback-report",
        headers=f"From: complaints@{_HOST}\nTo: {mailbox}\nSubject: FW: {original['Subject']}\n",
        text="This is an email abuse report for an email message received from your network.\n",
        fields="Feedback-Type: abuse\nUser-Agent: ExampleFeedback/1.0\nVersion: 1\nSource-IP: 192.0.2.1\n",
    )


def _report(original: Message, *, kind: str, headers: str, text: str, fields: str) -> bytes:
    """A multipart/report (RFC 6522): for people, for machines, and the headers of the email that it is about."""
    returned = "".join(f"{name}: {original[name]}\n" for name in _RETURNED if original[name])
    parts = (("text/plain; charset=utf-8", text), (f"message/{kind}", fields), ("text/rfc822-headers", returned))
    body = "".join(f"--part\nContent-Type: {of}\n\n{content}\n" for of, content in parts)
    return (
        f"{headers}Date: {formatdate()}\nMessage-ID: {make_msgid(domain=_HOST)}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="part"\n\n{body}--part--\n'
    ).encode()


def _answer(original: Message, person: str, subject: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = person
    mail["To"] = original["From"]
    mail["Subject"] = subject
    mail["In-Reply-To"] = mail["References"] = original["Message-ID"]
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=_HOST)
    return mail
