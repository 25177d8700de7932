"""What the columns mean, once: the views' comments in ClickHouse and the OpenAPI document both take it from here.

A word means the same wherever it is a column's name. Counts count emails, each once.
"""

from __future__ import annotations

COUNTS = {
    "sent": "Emails that their mail server gave its final answer to, yes or no. The base of every rate.",
    "delivered": "Emails sent that did not bounce.",
    "hard_bounced": "Emails that bounced for good: the address is dead.",
    "soft_bounced": "Emails that bounced for another reason.",
    "blocked": "Emails refused for the sender's or the content's sake.",
    "opened": "Emails that a person opened, or followed a link of.",
    "raw_opened": "Emails opened by anybody, or with a link that anybody followed, robots and machines included.",
    "machine_opened": "Emails fetched ahead by a mailbox provider's privacy proxy.",
    "clicked": "Emails in which a person followed a link.",
    "raw_clicked": "Emails in which anybody followed a link, robots included.",
    "unsubscribed": "Emails whose reader unsubscribed, and did not take it back.",
    "replied": "Emails that a person replied to; automatic answers are none.",
    "raw_replied": "Emails answered by a person or a machine.",
    "complained": "Emails reported as spam.",
    "pixel_opened": "Emails whose pixel a person's mail client fetched.",
    "opened_with_pixel": "Emails with a pixel that a person opened, or followed a link of.",
    "raw_opened_with_pixel": "The same by anybody.",
    "delivered_with_pixel": "Emails delivered that have a pixel: only these can show an open.",
    "delivered_with_links": "Emails delivered with links that lead over Sendlens: only these can show a click.",
}

RATES = {
    "delivery_rate": "delivered / sent.",
    "hard_bounce_rate": "hard_bounced / sent.",
    "soft_bounce_rate": "soft_bounced / sent.",
    "block_rate": "blocked / sent.",
    "open_rate": "opened_with_pixel / delivered_with_pixel; null (not tracked) where no email has a pixel.",
    "raw_open_rate": "raw_opened_with_pixel / delivered_with_pixel.",
    "machine_open_rate": "machine_opened / delivered_with_pixel.",
    "click_rate": "clicked / delivered_with_links; null (not tracked) where no email has links.",
    "raw_click_rate": "raw_clicked / delivered_with_links.",
    "click_to_open_rate": "clicked / opened.",
    "raw_click_to_open_rate": "raw_clicked / raw_opened.",
    "unsubscribe_rate": "unsubscribed / delivered.",
    "reply_rate": "replied / delivered.",
    "raw_reply_rate": "raw_replied / delivered.",
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

TIMES = {
    "sent_at": "The mail server's final answer, yes or no.",
    "delivered_at": "The mail server's yes (SMTP 250).",
    "hard_bounced_at": "Bounced for good.",
    "soft_bounced_at": "Bounced for another reason.",
    "blocked_at": "Refused for the sender's or content's sake.",
    "opened_at": "First opened by a person: the pixel or, where that came first, a link.",
    "first_open_at": "A person's mail client first fetched the pixel.",
    "first_click_at": "A person first followed a link.",
    "first_machine_open_at": "First fetched by a privacy proxy.",
    "first_raw_open_at": "First opened by anybody.",
    "first_raw_click_at": "Anybody first followed a link.",
    "replied_at": "A person first replied.",
    "auto_replied_at": "A machine first answered.",
    "unsubscribed_at": "Unsubscribed, and did not take it back.",
    "complained_at": "First reported as spam.",
    "skipped_at": "Not sent, for a reason that its event has.",
    "unanswered_at": "It may have gone out or not: nobody knows.",
    "last_unsubscribed_at": "Last unsubscribed, taken back or not.",
    "clicked_at": "A person first followed a link.",
    "bounced_at": "First bounced, for whatever reason.",
    "put_off_at": "First put off for a reason that says something of the recipient or the sender.",
    "resubscribed_at": "Last took an unsubscribing back.",
}

OTHERS = {
    "robots": "What robots and machines did, each once: kind, verdict and reason.",
    "links": "The links that a person followed, by their ids.",
    "raw_links": "The links that anybody followed, robots included.",
    "no_pixel": "It has no pixel, so no open can be seen.",
    "no_links": "None of its links leads over Sendlens, so no click can be seen.",
    "name": "What the campaign is called.",
    "slot": "The hour of sending.",
    "state": "Paused or Active.",
    "day": "The day (UTC) that the emails were sent on.",
    "first_sent_at": "When the first of its emails was sent.",
    "last_sent_at": "When the last of its emails was sent.",
    "health": "The sender's health now: 100 is untouched, 0 as bad as it gets.",
    "link_id": "The link: a keyed hash of campaign and address.",
    "url": "Where the link leads.",
    "clicks": "How often people followed it.",
    "raw_clicks": "How often anybody followed it.",
    "hits": "Opens or clicks, each time counted.",
    "emails": "Emails in which there was such a hit.",
    "at": "When it happened.",
    "kind": "What happened: sent, delivered, bounce, open, click, reply, ...",
    "verdict": "Whose hit it was: human, machine or bot.",
    "reason": "Why: of a verdict the rule's, of a skip what stood against sending, of an unsubscribe what was chosen.",
    "bounce_class": "hard, soft, block or unknown.",
    "status": "Enhanced status code (RFC 3463) or SMTP code.",
    "subject": "Subject of the mail that came back.",
    "text": "What a person wrote in reply, without quotes.",
}

AB = {
    "metric": "What is compared: reply, which decides, click or open; each by a person.",
    "baseline": "The variant that the others are compared with: `control`, else the first by name.",
    "reached": "Emails that were answered, clicked in or opened (those with a pixel); at most those delivered.",
    "rate": "reached / delivered.",
    "lift": "How much larger the rate is than the baseline's: difference / the baseline's rate.",
    "difference": "The rate minus the baseline's rate.",
    "low": "Where the difference's 95 % interval (Newcombe's score method) begins, not corrected as p is.",
    "high": "Where it ends.",
    "p_value": "How often chance alone gives such a difference: z-test with pooled variance, two-sided.",
    "corrected_p": "The same, corrected by Holm for the step's comparisons with its baseline.",
    "needed": "Delivered emails of each variant for a power of 80 % at 5 %.",
    "needed_for": "To find which difference: the one `seen`, or a `fifth` of the baseline's rate.",
    "missing": "How many of them the smaller variant still lacks.",
    "outcome": "baseline, short (of data), none (no difference seen), better or worse.",
    "finding": "The outcome in words.",
}

ABOUT = AB | EMAIL | TIMES | COUNTS | RATES | OTHERS
