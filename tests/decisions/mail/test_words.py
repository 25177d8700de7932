"""Bounces in words alone, as many systems and languages put them: one recipient, and whether it is dead."""

from __future__ import annotations

import pytest

from decisions.mail.read import read_mail

_RETURNED = "From: Sender <sender@example.org>\nTo: ada@example.com\nSubject: Our offer\nMessage-ID: <offer-1@example.org>\n\nHello"
BOUNCES = [
    (
        "hard",
        "Mail Delivery Subsystem <MAILER-DAEMON@x.example>",
        "Returned mail: Host unknown (Name server: gone.example: host not found)",
        "The original message was received at x\n\n   ----- The following addresses had permanent fatal errors -----\nada@example.com\n\n   ----- Transcript of session follows -----\n550 ada@example.com... Host unknown (Name server: gone.example: host not found)\n\n   ----- Original message follows -----\n\n{R}",
    ),
    (
        "hard",
        "postmaster@x.example",
        "Mail System Error - Returned Mail",
        "Each of the following recipients was rejected by a remote mail server.\nThe reasons given by the server are included to help you determine why each recipient was rejected.\n\n    Recipient: <ada@example.com>\n    Reason:    <ada@example.com>: User unknown\n\n{R}",
    ),
    (
        "soft",
        "postmaster@x.example",
        "Mail System Error - Returned Mail",
        "Could not be delivered to: <ada@example.com>\nAs their mailbox is full.\n\n{R}",
    ),
    (
        "soft",
        '"Postmaster" <postmaster@x.example>',
        "Undeliverable Mail",
        "User mailbox exceeds allowed size: ada@example.com\n\n\nOriginal message follows.\n\n{R}",
    ),
    (
        "hard",
        '"Postmaster" <postmaster@x.example>',
        "Undeliverable Mail",
        "Unknown user: ada@example.com\n\n\nOriginal message follows.\n\n{R}",
    ),
    (
        "hard",
        '"Postmaster" <postmaster@x.example>',
        "Undeliverable Mail",
        "Unknown host: ada@example.com\n\n\nOriginal message follows.\n\n{R}",
    ),
    (
        "hard",
        "System Administrator <postmaster@x.example>",
        "Nicht zustellbar: Angebot",
        "Ihre Nachricht hat einige oder alle Empfänger nicht erreicht.\n\n      Betreff:\tAngebot\n\nFolgende Empfänger können nicht erreicht werden:\n\n'ada@example.com' am 02.11.2026 10:00\n            Das E-Mail-System konnte keine Verbindung herstellen. Der Empfänger ist unbekannt.\n            <mx.example #5.1.1>\n",
    ),
    (
        "hard",
        "Microsoft Outlook <MicrosoftExchange@x.example>",
        "Undeliverable: Our offer",
        "Delivery has failed to these recipients or groups:\n\nAda Example (ada@example.com)<mailto:ada@example.com>\nThe email address you entered couldn't be found. Please check the recipient's email address and try to resend the message.\n\n\nDiagnostic information for administrators:\n\nGenerating server: MAIL.x.example\n\nada@example.com\nRemote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'\n\nOriginal message headers:\n\nReceived: from a by b\nFrom: Sender <sender@example.org>\nTo: \"Ada\" <ada@example.com>\nSubject: Our offer\n",
    ),
    (
        "block",
        "Mail Delivery System <mailer-daemon@x.example>",
        "Mail delivery failed: returning message to sender",
        "  ada@example.com\n    host mx.example.com [192.0.2.1]\n    SMTP error from remote mail server after MAIL FROM:<sender@example.org>:\n    550 Sender verify failed\n\n------ This is a copy of the message ------\n\n{R}",
    ),
    (
        "soft",
        "MAILER-DAEMON@yahoo.example",
        "Failure Notice",
        "Sorry, we were unable to deliver your message to the following address.\n\n<ada@example.com>:\nRemote host said: 452 4.2.2 Over quota [RCPT_TO]\n\n--- Below this line is a copy of the message.\n\n{R}",
    ),
    (
        "hard",
        "MAILER-DAEMON@x.example",
        "failure notice",
        "This is the mail delivery agent at messagelabs.com.\nI was not able to deliver your message to the following addresses.\n\n<ada@example.com>:\n192.0.2.9 does not like recipient.\nRemote host said: 550 5.1.1 <ada@example.com>... User Unknown\n\n--- Below this line is a copy of the message.\n\n{R}",
    ),
    (
        "hard",
        "Mail Administrator <Postmaster@x.example>",
        "Mail System Error - Returned Mail",
        "This Message was undeliverable due to the following reason:\n\nThe user(s) account is not valid or the mailbox does not exist.\n\n     User ada@example.com\n\nPlease reply to Postmaster@x.example\nif you feel this message to be in error.\n",
    ),
    (
        "hard",
        "postmaster@mail.x.example",
        "Delivery Status Notification (Failure)",
        "This is an automatically generated Delivery Status Notification.\n\nDelivery to the following recipients failed.\n\n       ada@example.com\n\nThe e-mail address does not exist.",
    ),
    (
        "hard",
        "Mailer-Daemon@x.example",
        "Mail delivery failed : returning message to sender",
        "Could not deliver message to the following recipient(s):\n\nFailed Recipient: ada@example.com\nReason: Remote host said: 550 5.1.1 unknown recipient\n\n   -- The header and top 20 lines of the message follows --\n\n{R}",
    ),
    (
        "soft",
        "postmaster@x.example",
        "Delivery failure",
        "Message could not be delivered to the recipient because the server mx.example.com did not respond.\nRecipient: ada@example.com",
    ),
    (
        "hard",
        "mdaemon@x.example",
        "Permanent Delivery Failure",
        "The attached message had PERMANENT fatal delivery errors!\n\nAfter one or more unsuccessful delivery attempts the attached message has\nbeen removed from the mail queue on this server.\n\nFailed address: ada@example.com\n\n--- Session Transcript ---\n Mon: --> RCPT To:<ada@example.com>\n Mon: <-- 550 5.1.1 <ada@example.com>... Recipient unknown\n--- End Transcript ---\n\n: Message contains [1] file attachments\n",
    ),
    (
        "hard",
        "Administrator <administrator@x.example>",
        "Delivery failed: Our offer",
        "A message (from <sender@example.org>) was received at 2 Nov 2026.\n\nThe following addresses had delivery problems:\n\n<ada@example.com>\n   Permanent Failure: 550_5.1.1_User_unknown\n   Delivery last attempted at Mon, 2 Nov 2026\n",
    ),
    (
        "hard",
        '"MAILER-DAEMON@qq.com" <postmaster@qq.example>',
        "=?UTF-8?B?57O757uf6YCA5L+h?=",
        "您的邮件被退回\n收件人（ada@example.com）不存在，邮件无法送达。\n",
    ),
    (
        "hard",
        "postmaster@x.example",
        "Mensaje no entregado",
        "No se pudo entregar el mensaje a los siguientes destinatarios:\nada@example.com\nEl usuario no existe",
    ),
    (
        "hard",
        "postmaster@x.example",
        "Не доставлено: x",
        "Ваше сообщение не доставлено следующим получателям:\n\nada@example.com\nПолучатель не найден",
    ),
    (
        "hard",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Undelivered Mail Returned to Sender",
        '<ada@example.com>: unknown user: "ada"\n\n{R}',
    ),
    (
        "soft",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Undelivered Mail Returned to Sender",
        "<ada@example.com>: connect to mx.example.com[192.0.2.1]:25: Connection timed out\n\n{R}",
    ),
    (
        "soft",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Undelivered Mail Returned to Sender",
        "<ada@example.com>: mail for example.com loops back to myself\n\n{R}",
    ),
    (
        "block",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Undelivered Mail Returned to Sender",
        "<ada@example.com>: host mx.example.com[192.0.2.1] said: 554 Your email was\n    rejected because the sending MTA or the sender has not passed validation\n    (in reply to RCPT TO command)\n\n{R}",
    ),
    (
        "soft",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Messaggio non recapitato",
        "Il messaggio non può essere consegnato a ada@example.com: casella piena.",
    ),
    (
        "hard",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "İletilemedi: x",
        "İletiniz ada@example.com adresine teslim edilemedi. Böyle bir kullanıcı yok.",
    ),
    (
        "soft",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Thư không gửi được",
        "Thư gửi đến ada@example.com không gửi được: hộp thư đã đầy.",
    ),
    (
        "hard",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Недоставлене повідомлення",
        "Не вдалося доставити лист на ada@example.com: такий користувач не існує.",
    ),
    (
        "unknown",
        "Mail Delivery System <MAILER-DAEMON@x.example>",
        "Ni bilo mogoče dostaviti",
        "Sporočilo za ada@example.com je zavrnjeno.",
    ),
]


@pytest.mark.parametrize(("bounce_class", "sender", "subject", "words"), BOUNCES)
def test_the_recipient_and_its_class_are_read_from_the_words(
    bounce_class: str, sender: str, subject: str, words: str
) -> None:
    text = words.replace("{R}", _RETURNED)
    raw = f"Return-Path: <>\nFrom: {sender}\nTo: sender@example.org\nSubject: {subject}\n\n{text}\n"
    verdict = read_mail(raw.encode())
    assert verdict.kind == "bounce"
    assert [(one.address, one.bounce_class) for one in verdict.recipients] == [("ada@example.com", bounce_class)]
