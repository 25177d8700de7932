"""What ClickHouse says to have happened, asked in several ways."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from clickhouse_connect.driver.client import Client

from tests.world.truth import FACTS, SKIPS, Numbers, Part, part

WORDS_OF_A_REPLY = "Two bags of the first kind, please. My number is "  # and then the lead's id

# From the rows that dashboards read.
_FROM_OUTCOMES = """
SELECT
    step,
    variant,
    countIf(sent_at IS NOT NULL) AS sent,
    countIf(delivered_at IS NOT NULL) AS taken,
    countIf(sent_at IS NOT NULL AND hard_bounced_at IS NULL AND soft_bounced_at IS NULL AND blocked_at IS NULL) AS delivered,
    countIf(hard_bounced_at IS NOT NULL) AS hard_bounced,
    countIf(soft_bounced_at IS NOT NULL) AS soft_bounced,
    countIf(blocked_at IS NOT NULL) AS blocked,
    countIf(skipped_at IS NOT NULL AND sent_at IS NULL) AS skipped,
    countIf(first_open_at IS NOT NULL) AS openers,
    countIf(first_click_at IS NOT NULL) AS clickers,
    countIf(unsubscribed_at IS NOT NULL) AS unsubscribers,
    countIf(resubscribed_at IS NOT NULL) AS resubscribed,
    countIf(replied_at IS NOT NULL) AS replied,
    countIf(auto_replied_at IS NOT NULL) AS auto_replied,
    countIf(complained_at IS NOT NULL) AS complained
FROM v_outcomes
WHERE campaign = {campaign:String}
GROUP BY step, variant
"""

# From the events themselves, every one counted once by its id. A reply counts when it says what the person wrote.
_FROM_EVENTS = f"""
SELECT
    step,
    variant,
    uniqExactIf(delivery_id, kind = 'sent') AS sent,
    uniqExactIf(delivery_id, kind = 'delivered') AS taken,
    uniqExactIf(delivery_id, kind = 'bounce' AND bounce_class = 'hard') AS hard_bounced,
    uniqExactIf(delivery_id, kind = 'bounce' AND bounce_class = 'soft') AS soft_bounced,
    uniqExactIf(delivery_id, kind = 'bounce' AND bounce_class = 'block') AS blocked,
    uniqExactIf(delivery_id, kind = 'deferred') AS deferred,
    uniqExactIf(delivery_id, kind = 'skipped' AND reason != 'duplicate') AS skipped,
    {", ".join(f"uniqExactIf(delivery_id, kind = 'skipped' AND reason = '{reason}') AS skipped_{reason}" for reason in SKIPS)},
    uniqExactIf(delivery_id, kind = 'skipped' AND reason = 'duplicate') AS duplicates,
    uniqExactIf(delivery_id, kind = 'open' AND verdict = 'human') AS openers,
    uniqExactIf(delivery_id, kind = 'click' AND verdict = 'human') AS clickers,
    uniqExactIf(delivery_id, kind = 'unsubscribe') - resubscribed AS unsubscribers,
    uniqExactIf(delivery_id, kind = 'resubscribe') AS resubscribed,
    uniqExactIf(delivery_id, kind = 'reply' AND text = concat('{WORDS_OF_A_REPLY}', lead, '\\n\\nBest regards')) AS replied,
    uniqExactIf(delivery_id, kind = 'auto_reply') AS auto_replied,
    uniqExactIf(delivery_id, kind = 'complaint') AS complained,
    uniqExactIf(id, kind IN ('open', 'click')) AS hits,
    uniqExactIf(id, kind IN ('open', 'click') AND verdict = 'bot') AS bot_hits,
    uniqExactIf(id, kind IN ('open', 'click') AND verdict = 'machine') AS machine_hits
FROM events
WHERE campaign = {{campaign:String}} AND kind NOT IN ('campaign_paused', 'campaign_resumed')
GROUP BY step, variant
"""

_RAW_HITS = (
    "SELECT step, variant, uniqExact(id) AS hits FROM hits WHERE campaign = {campaign:String} GROUP BY step, variant"
)

# A reply whose text differs is not lost from the number above by chance: all replies, whatever they say.
_REPLIES = "SELECT step, variant, uniqExact(id) AS replied FROM events WHERE campaign = {campaign:String} AND kind = 'reply' GROUP BY step, variant"

_SQL = {"outcomes": _FROM_OUTCOMES, "events": _FROM_EVENTS, "raw hits": _RAW_HITS, "replies": _REPLIES}

# Facts of leads and of addresses, over all campaigns.
_FACTS = "SELECT of, fact, count() FROM lead_facts FINAL WHERE holds GROUP BY of, fact"

_PAUSES = """
SELECT at, sent, hard_bounced
FROM events FINAL
WHERE campaign = {campaign:String} AND kind = 'campaign_paused' AND reason = 'bounces'
"""


def answers(client: Client, campaign: str, parts: Iterable[Part]) -> dict[str, dict[Part, Numbers]]:
    """What ClickHouse says of the campaign, by where it was asked. What it has no row of, it says is 0."""
    said: dict[str, dict[Part, Numbers]] = {}
    for source, sql in _SQL.items():
        found = client.query(sql, parameters={"campaign": campaign})
        rows = {part(row.pop("step"), row.pop("variant")): row for row in found.named_results()}
        said[source] = {where: dict.fromkeys(found.column_names[2:], 0) for where in parts} | rows
    return said


def facts(client: Client) -> dict[Part, Numbers]:
    """For how many leads, and for how many addresses, there is which reason to mail them no more."""
    found: dict[Part, Numbers] = {of: dict.fromkeys(FACTS, 0) for of in ("leads", "addresses")}
    for of, fact, count in client.query(_FACTS).result_rows:
        found["leads" if of == "lead" else "addresses"][fact] = count
    return found


def pauses(client: Client, campaign: str) -> list[tuple[datetime, int, int]]:
    """Each pause of the campaign for its bounces: when, and of how many emails sent how many had bounced hard."""
    return [(row[0], row[1], row[2]) for row in client.query(_PAUSES, parameters={"campaign": campaign}).result_rows]
