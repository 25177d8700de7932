"""What each provider posts, in the shape that it documents and in words of our own."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

TO = "ada@example.com"
REFUSED = "550 5.1.1 <ada@example.com>: no mailbox of that name here"


def preferences(unsubscribed: bool = False, **topics: str) -> dict[str, Any]:
    """What a person has chosen on the page of an SES contact list: each topic OptIn or OptOut."""
    chosen = [{"topicName": name, "subscriptionStatus": status} for name, status in topics.items()]
    return {"unsubscribeAll": unsubscribed, "topicSubscriptionStatus": chosen}


def ses(
    word: str, at: datetime, *, tags: dict[str, Any] | None = None, message_id: str = "", source: str = "", **part: Any
) -> str:
    """A record of event publishing, as the text that SNS carries."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    bounced = {"emailAddress": TO, "action": "failed", "status": "5.1.1", "diagnosticCode": f"smtp; {REFUSED}"}
    parts: dict[str, dict[str, Any]] = {
        "Bounce": {
            "bounce": {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [bounced],
                "timestamp": stamp,
                "feedbackId": "0100-feedback",
                "reportingMTA": "dsn; a.smtp-out.example",
            }
            | part
        },
        "Complaint": {
            "complaint": {
                "complainedRecipients": [{"emailAddress": TO}],
                "timestamp": stamp,
                "feedbackId": "0100-complaint",
                "complaintFeedbackType": "abuse",
            }
            | part
        },
        "Delivery": {
            "delivery": {
                "timestamp": stamp,
                "processingTimeMillis": 812,
                "recipients": [TO],
                "smtpResponse": "250 2.0.0 taken",
                "reportingMTA": "a.smtp-out.example",
            }
        },
        "DeliveryDelay": {
            "deliveryDelay": {
                "timestamp": stamp,
                "delayType": "MailboxFull",
                "delayedRecipients": [
                    {"emailAddress": TO, "status": "4.2.2", "diagnosticCode": "smtp; 452 4.2.2 over quota"}
                ],
            }
        },
        "Open": {"open": {"timestamp": stamp, "ipAddress": "192.0.2.1", "userAgent": "Mail/1"}},
        "Subscription": {
            "subscription": {
                "timestamp": stamp,
                "source": "UnsubscribeHeader",
                "contactList": "all",
                "newTopicPreferences": preferences(unsubscribed=True, news="OptOut"),
                "oldTopicPreferences": preferences(news="OptOut"),
            }
            | part
        },
    }
    mail = {
        "timestamp": stamp,
        "messageId": "0100018f-ses",
        "source": source or "news@example.net",
        "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.net",
        "destination": [TO],
        "headersTruncated": False,
        "headers": [
            {"name": "From", "value": "Garden Shop <news@example.net>"},
            {"name": "Message-ID", "value": message_id},
        ],
        "commonHeaders": {"from": ["Garden Shop <news@example.net>"], "to": [TO], "messageId": "0100018f-ses"},
        "tags": {"ses:configuration-set": ["all"], **{name: [value] for name, value in (tags or {}).items()}},
    }
    return json.dumps({"eventType": word, "mail": mail, **parts.get(word, {})})


def sendgrid(word: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """An event of the Event Webhook."""
    special: dict[str, dict[str, Any]] = {
        "bounce": {"type": "bounce", "status": "5.1.1", "reason": REFUSED},
        "deferred": {"response": "451 4.3.0 later please", "attempt": "3"},
        "delivered": {"response": "250 OK"},
        "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    }
    return {
        "email": TO,
        "timestamp": int(at.timestamp()),
        "event": word,
        "category": ["spring"],
        "sg_event_id": f"c2dfZXZlbnQ-{word}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001",
        **special.get(word, {}),
        **fields,
    }


def postmark(word: str, at: datetime, metadata: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A record of a webhook; times have .NET's seven digits."""
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.1234567Z")
    special: dict[str, dict[str, Any]] = {
        "Bounce": {
            "ID": 42, "Type": "HardBounce", "TypeCode": 1, "Name": "Hard bounce", "Email": TO, "From": "news@example.net",
            "Description": "The server does not know the mailbox", "Details": REFUSED, "BouncedAt": stamp, "Inactive": True,
        },
        "SpamComplaint": {"ID": 43, "Type": "SpamComplaint", "TypeCode": 512, "Email": TO, "BouncedAt": stamp},
        "Delivery": {"Recipient": TO, "DeliveredAt": stamp, "Details": "250 OK"},
        "SubscriptionChange": {
            "Recipient": TO, "Origin": "Recipient", "SuppressSending": True, "SuppressionReason": "ManualSuppression",
            "ChangedAt": stamp,
        },
        "Open": {"Recipient": TO, "ReceivedAt": stamp, "FirstOpen": True, "UserAgent": "Mail/1"},
    }  # fmt: skip
    return {
        "RecordType": word,
        "MessageID": "00000000-0000-4000-8000-000000000001",
        "MessageStream": "outbound",
        "ServerID": 23,
        "Tag": "spring",
        "Metadata": metadata or {},
        **special[word],
        **fields,
    }


def mailgun(word: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """What stands in `event-data`."""
    special: dict[str, dict[str, Any]] = {
        "failed": {
            "severity": "permanent",
            "reason": "bounce",
            "delivery-status": {
                "attempt-no": 1, "code": 550, "enhanced-code": "5.1.1", "message": "5.1.1 no mailbox of that name here",
                "description": "", "session-seconds": 0.4,
            },
        },
        "delivered": {"delivery-status": {"code": 250, "message": "OK", "attempt-no": 1, "tls": True}},
    }  # fmt: skip
    return {
        "event": word,
        "id": f"W3X4JOhFT-{word}",
        "timestamp": at.timestamp(),
        "log-level": "info",
        "recipient": TO,
        "recipient-domain": "example.com",
        "envelope": {"sender": "news@example.net", "targets": TO, "transport": "smtp"},
        "message": {"headers": {"from": "Garden Shop <news@example.net>", "to": TO, "message-id": "x@example.net"}},
        "user-variables": [],
        "tags": ["spring"],
        **special.get(word, {}),
        **fields,
    }


def brevo(word: str, at: datetime, **fields: Any) -> dict[str, Any]:
    """An event of a transactional webhook."""
    special: dict[str, dict[str, Any]] = {
        "hard_bounce": {"reason": REFUSED},
        "soft_bounce": {"reason": "452 4.2.2 the mailbox is over quota"},
        "deferred": {"reason": "451 4.3.0 later please"},
    }
    return {
        "event": word,
        "email": TO,
        "id": 26224,
        "date": at.strftime("%Y-%m-%d %H:%M:%S"),
        "ts": int(at.timestamp()),
        "message-id": "<201798300811.5787683@relay.example>",
        "ts_event": int(at.timestamp()),
        "ts_epoch": int(at.timestamp() * 1000),
        "subject": "A question about spring",
        "sending_ip": "192.0.2.9",
        "tags": ["spring"],
        **special.get(word, {}),
        **fields,
    }
