"""What each board and each answer of `/v1` must say of a campaign, worked out from the truth alone.

`SpanText` is by who says it, then by which row or panel, then by the name of the number. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from tests.world.truth import Hit, Numbers, Part, Truth

Said = dict[str, dict[Part, Numbers]]

TRAP = "Trap for robots, which no person sees"  # what the page calls the link that only robots find
MOST_REPLIES = 200  # rows of the page's table

HAPPENED = ("sent", "opened", "clicked", "replied", "unsubscribed")
METRICS = {"reply": "replied", "click": "clicked", "open": "opened"}


def counts(truth: Truth) -> Numbers:
    """What became of the emails in the page's words. `raw_` is by anybody, without it by a person."""
    return {
        "sent": len(truth.sent),
        "delivered": len(truth.sent - truth.refused),
        "hard_bounced": len(truth.hard_bounced),
        "soft_bounced": len(truth.soft_bounced),
        "blocked": len(truth.blocked),
        # Who follows a link has opened the email.
        "opened": len(truth.openers | truth.clickers),
        "raw_opened": _emails(truth.done),
        "machine_opened": _emails(hit for hit in truth.done if (hit.kind, hit.verdict) == ("open", "machine")),
        "clicked": len(truth.clickers),
        "raw_clicked": _emails(hit for hit in truth.done if hit.kind == "click"),
        "unsubscribed": len(truth.unsubscribers),
        "replied": len(truth.replied),
        "raw_replied": len(truth.replied | truth.auto_replied),
        "complained": len(truth.complained),
    }


def of_campaign(campaign: str, domain: str, truths: Mapping[Part, Truth], pauses: int) -> Said:
    """All that is said of one campaign, whose leads live at `domain` and which was paused so many times."""
    total = _sum(counts(truth) for truth in truths.values())
    variants = {where: counts(truth) for where, truth in truths.items()}
    activity = {name: total[name] for name in HAPPENED}
    opened = {"opened": total["opened"]}
    whose = _whose(truths)
    tests = _tests(truths)
    return {
        "Overview": {
            "headline": total,
            f"campaign {campaign}": total | {"paused": int(pauses > 0)},
            "activity": activity,
            **_funnel(total),
            "hits": whose["All hits"],
            **{f"hits, {row}": numbers for row, numbers in whose.items()},
            "verdicts by reason": whose["All hits"],
        },
        "Campaign board": {
            "headline": total,
            "activity": activity,
            **variants,
            **_links(truths),
            "replies": dict.fromkeys(("listed", "in the person's words"), min(MOST_REPLIES, total["replied"])),
            **dict.fromkeys(("time to open", "open delays", "open hours"), opened),
            "distance to the pause": {
                **{name: total[name] for name in ("sent", "hard_bounced")},
                "paused": int(pauses > 0),
            },
        },
        "A/B board": {"tests": {"tests": len(tests) // 6}, **tests},
        "Deliverability board": {
            "headline": total,
            f"domain {domain}": total,
            "all providers": total,
            **_categories(truths),
            "pauses": {"listed": pauses},
            "deferrals": _deferrals(truths),
            "waiting": {"emails": 0},
        },
        "Robots board": _robots(truths),
        "/v1/campaigns/stats": {"campaign": total, **variants},
        "/v1/stats/daily": {"all days": total, "happened": activity},
        "/v1/ab": tests,
    }


def _sum(many: Iterable[Numbers]) -> Numbers:
    total: defaultdict[str, int] = defaultdict(int)
    for numbers in many:
        for name, number in numbers.items():
            total[name] += number
    return dict(total)


def _emails(hits: Iterable[Hit]) -> int:
    """Of one step and variant, in which an email is its lead's."""
    return len({hit.lead for hit in hits})


def _funnel(total: Numbers) -> dict[Part, Numbers]:
    raw = {"opened": "raw_opened", "clicked": "raw_clicked", "replied": "raw_replied"}
    return {
        f"funnel, {name}": {"emails": total[name]} | ({"raw": total[raw[name]]} if name in raw else {})
        for name in ("sent", "delivered", "opened", "clicked", "replied")
    }


def _whose(truths: Mapping[Part, Truth]) -> dict[Part, Numbers]:
    """Hits by kind and by whose they were."""
    hits = Counter((hit.kind, hit.verdict) for truth in truths.values() for hit in truth.done)
    verdicts = ("human", "machine", "bot")
    opens, clicks = ({verdict: hits[kind, verdict] for verdict in verdicts} for kind in ("open", "click"))
    return {"Opens": opens, "Clicks": clicks, "All hits": _sum((opens, clicks))}


def _links(truths: Mapping[Part, Truth]) -> dict[Part, Numbers]:
    followed: defaultdict[str, list[tuple[Part, Hit]]] = defaultdict(list)
    for where, truth in truths.items():
        for hit in truth.done:
            if hit.kind == "click":
                followed[TRAP if hit.link.endswith("/hidden") else hit.link].append((where, hit))
    return {
        f"link {link}": {
            "clicked": len({(where, hit.lead) for where, hit in clicks if hit.verdict == "human"}),
            "raw_clicked": len({(where, hit.lead) for where, hit in clicks}),
        }
        for link, clicks in followed.items()
    }


def _tests(truths: Mapping[Part, Truth]) -> dict[Part, Numbers]:
    """Of each step that went out in two variants, each variant by each metric."""
    if len(truths) < 2:
        return {}
    return {
        f"{where}, {metric}": {"delivered": number["delivered"], "reached": min(number[name], number["delivered"])}
        for where, number in ((where, counts(truth)) for where, truth in truths.items())
        for metric, name in METRICS.items()
    }


def _categories(truths: Mapping[Part, Truth]) -> dict[Part, Numbers]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for truth in truths.values():
        for kind, leads in (("hard", truth.hard_bounced), ("soft", truth.soft_bounced), ("blocked", truth.blocked)):
            for lead in leads:
                found[truth.bounced_for[lead]].update((kind, "emails"))
    names = ("hard", "soft", "blocked", "emails")
    return {f"category {category}": {name: of[name] for name in names} for category, of in found.items()}


def _deferrals(truths: Mapping[Part, Truth]) -> Numbers:
    """Each greylisted email was told "not now" once and went out after that."""
    deferred = sum(len(truth.deferred) for truth in truths.values())
    sent_since = sum(len(truth.deferred & truth.sent) for truth in truths.values())
    return {"deferrals": deferred, "emails": deferred, "sent_since": sent_since, "waiting_still": deferred - sent_since}


def _robots(truths: Mapping[Part, Truth]) -> dict[Part, Numbers]:
    hits = [(where, hit) for where, truth in truths.items() for hit in truth.done]
    whose = _whose(truths)["All hits"]
    agents: defaultdict[str, list[tuple[Part, str]]] = defaultdict(list)
    for where, hit in hits:
        if hit.verdict == "bot":
            agents[hit.agent].append((where, hit.lead))
    return {
        "headline": {
            **whose,
            "hits": len(hits),
            "emails": len({(where, hit.lead) for where, hit in hits if hit.lead in truths[where].sent}),
            "bot_emails": len(
                {(where, lead) for emails in agents.values() for where, lead in emails if lead in truths[where].sent}
            ),
        },
        "over time": whose,
        "networks": {"machine_hits": whose["machine"], "bot_hits": whose["bot"]},
        "what rules removed": {name: whose[name] for name in ("machine", "bot")},
        "agents": {name: whose[name] for name in ("machine", "bot")},
        **{f"user agent {agent}": {"hits": len(emails)} for agent, emails in agents.items()},
    }
