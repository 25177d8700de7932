"""What a viewer may choose on a board, beside the period: once for Grafana's variables and for our own page."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.queries import Query, get


@dataclass(frozen=True)
class Variable:
    """A choice. `name` is what it is called in URLs and in Grafana, `parameter` what the queries call it.

    `options` gives the columns `id` and `label`; without it the viewer types what it is (a lead's id). Nothing chosen
    means all, but of what is typed it means none.
    """

    name: str
    parameter: str
    label: str
    about: str
    options: Query | None = None
    is_number: bool = False


CAMPAIGN = Variable("campaign", "campaigns", "Campaign", "Whose emails the board counts.", get("campaign_names"))
STEP = Variable("step", "steps", "Step", "The emails' place in the sequence.", get("step_names"), is_number=True)
SENDER = Variable("sender", "senders", "Sender", "The mailbox that emails are from.", get("sender_names"))
VARIANT = Variable("variant", "variants", "Variant", "The version of the text that was sent.", get("variant_names"))
LINK = Variable("link", "links", "Link", "Emails in which a person followed it.", get("link_names"))
OUTCOME = Variable(
    "outcome", "outcomes", "Outcome", "What became of the emails: all that is chosen.", get("outcome_names")
)
LEAD = Variable("lead", "lead", "Lead", "The lead's id, as the campaign platform calls it, or its email address.")

ALL = (CAMPAIGN, STEP, SENDER, VARIANT, LINK, OUTCOME, LEAD)
