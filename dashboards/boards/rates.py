"""What tables of emails show, and where a share becomes a warning: shared by the boards."""

from __future__ import annotations

from dashboards.panels import Color, Field, Threshold, Unit

NOTHING_SENT = "No emails sent"
NOTHING_DELIVERED = "No emails delivered"
NOTHING_OPENED = "No emails opened"
# An email without a pixel shows no open, one without links of ours no click: they are in no such rate.
NOT_TRACKED = "not tracked"
NOTHING_WITH_PIXEL = "Not tracked: none delivered with a pixel"
NOTHING_WITH_LINKS = "Not tracked: none delivered with links"
OPENS_OF = "delivered with a pixel"
CLICKS_OF = "delivered with links"

# Where mailbox providers start to distrust a sender, and where they start to refuse it.
HARD_BOUNCES = (Threshold(0.02, Color.ORANGE), Threshold(0.05, Color.VERMILLION))

# Below this the guard's arithmetic has seen several hard bounces with few good emails between them.
HEALTH = (Threshold(0, Color.VERMILLION), Threshold(50, Color.ORANGE), Threshold(80, Color.GREEN))

# What Gmail's and Yahoo's rules for bulk senders ask to stay below, and must never be reached.
COMPLAINTS = (Threshold(0.001, Color.ORANGE), Threshold(0.003, Color.VERMILLION))

SENT = Field("sent", "Sent", Unit.COUNT, "Emails put to the recipient's mail server, which took or refused them.")
DELIVERED = Field("delivered", "Delivered", Unit.COUNT, "Sent minus bounced.")

# In the order of decisions: whether it works, whether it harms, then the rest. Click-to-open and raw rates have cards.
RATES = (
    SENT,
    DELIVERED,
    Field("reply_rate", "Reply rate", Unit.RATE, "Emails that a person answered, of delivered."),
    Field("open_rate", "Open rate", Unit.RATE, f"Emails that a person opened, of {OPENS_OF}.", missing=NOT_TRACKED),
    Field(
        "click_rate",
        "Click rate",
        Unit.RATE,
        f"Emails in which a person followed a link, of {CLICKS_OF}.",
        missing=NOT_TRACKED,
    ),
    Field("hard_bounce_rate", "Hard bounces", Unit.RATE, "Refused for good, of sent.", thresholds=HARD_BOUNCES),
    Field(
        "complaint_rate",
        "Complaints",
        Unit.RATE,
        "Emails that the recipient reported as spam, of delivered.",
        thresholds=COMPLAINTS,
    ),
    Field("unsubscribe_rate", "Unsubscribes", Unit.RATE, "Emails that were unsubscribed from, of delivered."),
    Field("block_rate", "Blocked", Unit.RATE, "Refused as spam, by policy or for the sender's reputation, of sent."),
    Field("soft_bounce_rate", "Soft bounces", Unit.RATE, "Refused for a reason that may pass, of sent."),
)
