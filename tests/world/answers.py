"""The mails that come back to a sender, as the world's recipients and their servers write them.

Each is made of the email that it answers, so that it carries what a real one would: the return path it was sent to, the
Message-ID it refers to, the headers that a report returns.
"""

from __future__ import annotations

from email.message import EmailMessage, Message
from email.utils import formatdate, make_msgid

from schemas.tokens import Keyring, Purpose

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


def read_receipt(original: Message, person: str) -> bytes:
    """The mail client tells that the email was shown (RFC 8098). Says nothing of a reply."""
    return _report(
        original,
        kind="disposition-notification",
        headers=f"From: {person}\nTo: {original['From']}\nSubject: Read: {original['Subject']}\n"
        f"In-Reply-To: {original['Message-ID']}\nReferences: {original['Message-ID']}\n",
        text="This is a receipt for the mail that you sent.\n",
        fields=f"Final-Recipient: rfc822; {person}\nOriginal-Message-ID: {original['Message-ID']}\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\n",
    )


def calendar_answer(original: Message, person: str) -> bytes:
    """The calendar accepts what it took for an invitation (RFC 6047)."""
    mail = _answer(original, person, f"Accepted: {original['Subject']}")
    mail.set_content(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example//Calendar//EN\nMETHOD:REPLY\nBEGIN:VEVENT\nUID:1@example.net\n"
        f"DTSTAMP:20260302T090000Z\nATTENDEE;PARTSTAT=ACCEPTED:mailto:{person}\nEND:VEVENT\nEND:VCALENDAR\n",
        subtype="calendar",
    )
    mail.set_param("method", "REPLY")
    return mail.as_bytes()


def newsletter(person: str, mailbox: str) -> bytes:
    """Somebody else's campaign, sent to everybody who ever wrote."""
    mail = EmailMessage()
    mail["From"] = f"The Compost Letter <{person}>"
    mail["To"] = mailbox
    mail["Subject"] = "Five things to do with leaves"
    mail["List-Id"] = "The Compost Letter <compost.example.net>"
    mail["List-Unsubscribe"] = "<https://compost.example.net/leave>"
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=_HOST)
    mail.set_content("Leaves are not waste. This month we look at what a heap of them becomes.\n")
    return mail.as_bytes()


def forged(original: Message, return_path: str, keys: Keyring, others: Keyring) -> tuple[Message, str]:
    """The same email with tokens that say the same and are signed by another key: what an enemy could make up."""
    token, _, host = original["Message-ID"].strip("<>").rpartition("@")
    claim = keys.verify(Purpose.MESSAGE, token)
    unsubscribe = others.sign(Purpose.UNSUBSCRIBE, claim)
    made = Message()
    for name in ("From", "To", "Subject", "Date", "List-Unsubscribe-Post"):
        made[name] = original[name]
    made["Message-ID"] = f"<{others.sign(Purpose.MESSAGE, claim)}@{host}>"
    made["List-Unsubscribe"] = f"<https://{host}/u/{unsubscribe}>"
    return made, f"bounce+{others.sign_bounce(claim)}@{return_path.rpartition('@')[2]}"


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
