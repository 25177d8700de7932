"""What the columns mean, once: the views' comments in ClickHouse and the OpenAPI document both say it from here.

A word means the same wherever it is a column's name. Counts count emails, each once.
"""

from __future__ import annotations

COUNTS = {
    "sent": "Emails that their mail server gave its final answer to, yes or no. The base of every rate.",
    "delivered": "Emails sent that did not bounce.",
    "hard_bounced": "Emails that bounced for good: the address is dead.",
    "soft_bounced": "Emails that bounced for another reason.",
    "blocked": "Emails refused for the sender's or the content's sake.",
    "opened": "Emails that a person opened.",
    "raw_opened": "Emails opened by anybody, robots and machines included.",
    "machine_opened": "Emails fetched ahead by a mailbox provider's privacy proxy.",
    "clicked": "Emails in which a person followed a link.",
    "raw_clicked": "Emails in which anybody followed a link, robots included.",
    "unsubscribed": "Emails whose reader unsubscribed, and did not take it back.",
    "replied": "Emails that a person replied to; automatic answers are none.",
    "complained": "Emails reported as spam.",
}

RATES = {
    "delivery_rate": "delivered / sent.",
    "hard_bounce_rate": "hard_bounced / sent.",
    "soft_bounce_rate": "soft_bounced / sent.",
    "block_rate": "blocked / sent.",
    "open_rate": "opened / delivered.",
    "raw_open_rate": "raw_opened / delivered.",
    "machine_open_rate": "machine_opened / delivered.",
    "click_rate": "clicked / delivered.",
    "raw_click_rate": "raw_clicked / delivered.",
    "click_to_open_rate": "clicked / opened.",
    "raw_click_to_open_rate": "raw_clicked / raw_opened.",
    "unsubscribe_rate": "unsubscribed / delivered.",
    "reply_rate": "replied / delivered.",
    "complaint_rate": "complained / delivered.",
}

EMAIL = {
    "delivery_id": "The email: derived from campaign, step and lead.",
    "campaign": "The campaign's id.",
    "step": "The email's place in the sequence, 0 to 255.",
    "variant": "The variant of the step that the platform chose.",
    "lead": "The lead's id, as the platform calls it; `erased:` and digits for a person who was erased.",
    "sender": "The mailbox it was from.",
    "recipient_domain": "The domain of the recipient's address.",
}

ABOUT = EMAIL | COUNTS | RATES
