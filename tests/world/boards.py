"""What the page's boards and `/v1` say, read out of their JSON into the shape in which the truth is expected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.world.expected import HAPPENED, Said
from tests.world.questions import WORDS_OF_A_REPLY
from tests.world.truth import Numbers, Part, part

Json = Mapping[str, Any]
Rows = list[dict[str, Any]]

_COUNTS = (
    *("sent", "delivered", "hard_bounced", "soft_bounced", "blocked", "opened", "raw_opened", "machine_opened"),
    *("clicked", "raw_clicked", "unsubscribed", "replied", "raw_replied", "complained"),
)
_WHOSE = ("human", "machine", "bot")
_LINK = ("clicked", "raw_clicked")
_KINDS = {
    **{"Sent": "sent", "Delivered": "delivered", "Put off": "deferred", "Not sent": "skipped", "Bounced": "bounce"},
    **{"Replied": "reply", "Automatic reply": "auto_reply", "Complained": "complaint", "Opened": "open"},
    **{"Clicked": "click", "Unsubscribed": "unsubscribe", "Took it back": "resubscribe"},
    **{"No more email": "fact", "Email again": "fact"},
}


def rows(board: Json, query: str) -> Rows:
    """A question's rows; none where it failed, which `failed` tells of."""
    return list(board["answers"][query].get("rows", []))


def failed(key: str, board: Json) -> list[str]:
    """The board's questions that were not answered, a line each."""
    answers = board["answers"].items()
    return [f"{key} board: {query} was answered {answer['error']}" for query, answer in answers if "error" in answer]


def overview(board: Json) -> Said:
    hits = {f"hits, {row['hit']}": _of(row, _WHOSE) for row in rows(board, "hits_by_verdict")}
    by_reason = Counter[str]()
    for row in rows(board, "hits_by_reason"):
        by_reason[row["verdict"]] += row["opens"] + row["clicks"]
    funnel = {
        f"funnel, {row['stage'].lower()}": {"emails": row["emails"]}
        | ({"raw": row["raw_emails"]} if row["raw_emails"] is not None else {})
        for row in rows(board, "funnel")
    }
    campaigns = {
        f"campaign {row['campaign_id']}": _of(row, _COUNTS) | {"paused": int(row["state"] == "Paused")}
        for row in rows(board, "by_campaign")
    }
    return {
        "Overview": {
            "headline": _now(board, "headline", _COUNTS),
            "activity": _sum(rows(board, "activity"), HAPPENED),
            "hits": _whose(_now_rows(board, "hit_headline")),
            "verdicts by reason": {whose: by_reason[whose] for whose in _WHOSE},
            **hits,
            **funnel,
            **campaigns,
        }
    }


def campaign(board: Json) -> Said:
    replies = rows(board, "replies")
    limits = rows(board, "bounce_limits")
    return {
        "Campaign board": {
            "headline": _now(board, "campaign_headline", _COUNTS),
            "activity": _sum(rows(board, "campaign_activity"), HAPPENED),
            **_variants(rows(board, "by_variant")),
            **{f"link {row['link']}": _of(row, _LINK) for row in rows(board, "followed_links")},
            "replies": {
                "listed": len(replies),
                "in the person's words": sum(
                    row["words"].startswith(WORDS_OF_A_REPLY + row["lead"]) for row in replies
                ),
            },
            "time to open": _now(board, "time_to_open", ["opened"]),
            "open delays": _sum(rows(board, "open_delays"), ["opened"]),
            "open hours": _sum(rows(board, "open_hours"), ["opened"]),
            "distance to the pause": {
                **_sum(limits, ["sent", "hard_bounced"]),
                "paused": sum(row["state"] == "Paused" for row in limits),
            },
        }
    }


def ab(board: Json) -> Said:
    compared = [row for query in ("ab_replies", "ab_clicks", "ab_opens") for row in rows(board, query)]
    return {"A/B board": {"tests": _sum(rows(board, "ab_summary"), ["tests"]), **_compared(compared)}}


def deliverability(board: Json) -> Said:
    categories = rows(board, "bounces_by_category")
    deferred = ("deferrals", "emails", "sent_since", "waiting_still")
    return {
        "Deliverability board": {
            "headline": _now(board, "delivery_headline", _COUNTS),
            **{f"domain {row['domain_name']}": _of(row, _COUNTS) for row in rows(board, "by_domain")},
            "all providers": _sum(rows(board, "by_provider"), _COUNTS),
            **{f"category {row['wrong']}": _of(row, ("hard", "soft", "blocked", "emails")) for row in categories},
            "pauses": {"listed": len(rows(board, "pause_list"))},
            "deferrals": _sum(rows(board, "deferrals"), deferred),
            "waiting": _sum(rows(board, "waiting_by_state"), ["emails"]),
        }
    }


def robots(board: Json) -> Said:
    headline = _now_rows(board, "robot_headline")
    agents = rows(board, "robots_by_user_agent")
    return {
        "Robots board": {
            "headline": _whose(headline) | _sum(headline, ("hits", "emails", "bot_emails")),
            "over time": _whose(rows(board, "robots_over_time")),
            "networks": _sum(rows(board, "robots_by_network"), ("machine_hits", "bot_hits")),
            "what rules removed": _by_verdict(rows(board, "removed_by_rule")),
            "agents": _by_verdict(rows(board, "robots_by_agent")),
            **{f"user agent {row['sent_as']}": _of(row, ("hits",)) for row in agents},
        }
    }


def v1_stats(answer: Json) -> Said:
    return {
        "/v1/campaigns/stats": {"campaign": _of(answer["stats"], _COUNTS), **_variants(answer["variants"])},
    }


def v1_daily(answer: Json) -> Said:
    days = answer["days"]
    happened = _sum([day["happened"] for day in days], HAPPENED)
    return {"/v1/stats/daily": {"all days": _sum(days, _COUNTS), "happened": happened}}


def v1_ab(answer: Json) -> Said:
    return {"/v1/ab": _compared(answer["comparisons"])}


def lead(who: str, board: Json) -> Said:
    names = ("sent", "delivered", "opened", "raw_opened", "clicked", "raw_clicked", "replied", "complained", "events")
    happened = Counter(_name(_KINDS.get(row["happened"], "unknown"), row) for row in rows(board, "lead_timeline"))
    return {
        "Lead board": {
            who: dict(happened),
            f"{who}, summary": _sum(rows(board, "lead_summary"), names),
            f"{who}, state": dict(Counter(row["state"] for row in rows(board, "lead_state"))),
        }
    }


def v1_timeline(who: str, answer: Json) -> Said:
    return {"/v1/leads/timeline": {who: dict(Counter(_name(row["kind"], row) for row in answer["happenings"]))}}


def _name(kind: str, row: Json) -> str:
    match kind:
        case "open" | "click":
            return f"{kind} {row['verdict']}"
        case "skipped":
            return f"{kind} {row['reason']}"
        case "bounce":
            return f"{kind} {row['what'].partition(',')[0]}"
        case "fact":
            return f"{kind} {row['reason']}" + (" taken back" if row["happened"] == "Email again" else "")
    return kind


def _of(row: Json, names: Iterable[str]) -> Numbers:
    return {name: row[name] for name in names}


def _sum(many: Rows, names: Iterable[str]) -> Numbers:
    return {name: sum(row[name] for row in many) for name in names}


def _now_rows(board: Json, query: str) -> Rows:
    return [row for row in rows(board, query) if row["period"]]


def _now(board: Json, query: str, names: Iterable[str]) -> Numbers:
    return _sum(_now_rows(board, query), names)


def _whose(many: Rows) -> Numbers:
    return {whose: sum(row[f"{whose}_hits"] for row in many) for whose in _WHOSE}


def _by_verdict(many: Rows) -> Numbers:
    return {whose: sum(row["hits"] for row in many if row["verdict"] == whose) for whose in ("machine", "bot")}


def _variants(many: Rows) -> dict[Part, Numbers]:
    return {part(row["step"], row["variant"]): _of(row, _COUNTS) for row in many}


def _compared(many: Rows) -> dict[Part, Numbers]:
    return {f"{part(row['step'], row['variant'])}, {row['metric']}": _of(row, ("delivered", "reached")) for row in many}
