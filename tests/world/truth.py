"""What really happened, counted by those who did it; and what is said to have happened: by ClickHouse, asked in three
ways, and by the page that a viewer sees."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from typing import Any

from clickhouse_connect.driver.client import Client

Part = tuple[int, str]  # step, variant


@dataclass
class Truth:
    """The numbers of one step and variant. Openers and clickers are emails that a person opened or clicked."""

    sent: int = 0
    delivered: int = 0
    hard_bounced: int = 0
    skipped: int = 0
    openers: set[str] = field(default_factory=set)
    clickers: set[str] = field(default_factory=set)
    unsubscribers: set[str] = field(default_factory=set)
    hits: int = 0
    bot_hits: int = 0
    machine_hits: int = 0

    def numbers(self) -> dict[str, int]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: len(value) if isinstance(value, set) else value for name, value in values.items()}


def new_truths() -> defaultdict[Part, Truth]:
    return defaultdict(Truth)


# From the rows that dashboards read.
_FROM_OUTCOMES = """
SELECT
    step,
    variant,
    countIf(sent_at IS NOT NULL) AS sent,
    countIf(sent_at IS NOT NULL AND hard_bounced_at IS NULL AND soft_bounced_at IS NULL AND blocked_at IS NULL) AS delivered,
    countIf(hard_bounced_at IS NOT NULL) AS hard_bounced,
    countIf(skipped_at IS NOT NULL AND sent_at IS NULL) AS skipped,
    countIf(first_open_at IS NOT NULL) AS openers,
    countIf(first_click_at IS NOT NULL) AS clickers,
    countIf(unsubscribed_at IS NOT NULL) AS unsubscribers
FROM v_outcomes
WHERE campaign = {campaign:String}
GROUP BY step, variant
"""

# From the events themselves, every one counted once by its id.
_FROM_EVENTS = """
SELECT
    step,
    variant,
    uniqExactIf(delivery_id, kind = 'sent') AS sent,
    uniqExactIf(delivery_id, kind = 'delivered') AS delivered,
    uniqExactIf(delivery_id, kind = 'bounce' AND bounce_class = 'hard') AS hard_bounced,
    uniqExactIf(delivery_id, kind = 'open' AND verdict = 'human') AS openers,
    uniqExactIf(delivery_id, kind = 'click' AND verdict = 'human') AS clickers,
    uniqExactIf(delivery_id, kind = 'unsubscribe') AS unsubscribers,
    uniqExactIf(id, kind IN ('open', 'click')) AS hits,
    uniqExactIf(id, kind IN ('open', 'click') AND verdict = 'bot') AS bot_hits,
    uniqExactIf(id, kind IN ('open', 'click') AND verdict = 'machine') AS machine_hits
FROM events
WHERE campaign = {campaign:String}
GROUP BY step, variant
"""

_RAW_HITS = (
    "SELECT step, variant, uniqExact(id) AS hits FROM hits WHERE campaign = {campaign:String} GROUP BY step, variant"
)

ANSWERS = {"outcomes": _FROM_OUTCOMES, "events": _FROM_EVENTS, "raw hits": _RAW_HITS}


def answers(client: Client, campaign: str) -> dict[str, dict[Part, dict[str, int]]]:
    """What ClickHouse says of the campaign, by where it was asked."""
    said: dict[str, dict[Part, dict[str, int]]] = {}
    for source, sql in ANSWERS.items():
        result = client.query(sql, parameters={"campaign": campaign})
        rows: list[dict[str, Any]] = list(result.named_results())
        said[source] = {(row.pop("step"), row.pop("variant")): row for row in rows}
    return said


def page_answers(board: dict[str, Any], campaign: str) -> dict[Part, dict[str, int]]:
    """What the Overview board's JSON says of the campaign, in the truth's words."""
    return {
        (row["step"], row["variant"]): {name: row[word] for name, word in _PAGE_WORDS.items()}
        for row in board["answers"]["by_variant"]["rows"]
        if row["campaign_id"] == campaign
    }


_PAGE_WORDS = {
    "sent": "sent",
    "delivered": "delivered",
    "hard_bounced": "hard_bounced",
    "openers": "opened",
    "clickers": "clicked",
    "unsubscribers": "unsubscribed",
}


def differences(truths: dict[Part, Truth], said: dict[str, dict[Part, dict[str, int]]]) -> list[str]:
    """Every number that differs, a line each."""
    wrong = []
    true_names = Truth().numbers()
    for source, parts in said.items():
        names = list(next(iter(parts.values()), true_names))
        for part in sorted(set(truths) | set(parts)):
            true = truths.get(part, Truth()).numbers()
            for name in names:
                found = parts.get(part, {}).get(name, 0)
                if found != true[name]:
                    wrong.append(f"step {part[0]} variant {part[1]}: {name} is {true[name]}, {source} say {found}")
    return wrong
