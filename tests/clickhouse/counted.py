"""Events told in few words, and what they count to: one by one, by hand, with nothing of ClickHouse's in it."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from schemas.events import (
    AnyEvent,
    AutoReplied,
    Bounced,
    Clicked,
    Complained,
    Delivered,
    Opened,
    Replied,
    Resubscribed,
    Sent,
    Unsubscribed,
)
from schemas.tokens import delivery_id

BASE = datetime(2026, 3, 2, tzinfo=UTC)
_NAMES = uuid.UUID("6f1c7b4e-7d5c-4a58-9d8c-2a6a1d4f9c11")
# Client, device and country of a hit, whoever made it; what an older release stored has none.
CAME_WITH = (("Gmail (proxy)", "unknown", "US"), ("Firefox", "desktop", ""), ("", "", ""))


@dataclass(frozen=True)
class Told:
    """Something that happened to an email. `variety` tells apart what happened twice."""

    campaign: str
    step: int
    lead: int
    kind: str
    at: datetime
    variety: int

    KINDS: ClassVar = (
        "sent", "sent", "delivered", "bounce hard", "bounce soft", "bounce unknown", "bounce block", "open human",
        "open machine", "open bot", "click human", "click bot", "unsubscribe", "resubscribe", "reply", "auto_reply", "complaint",
    )  # fmt: skip

    def event(self) -> AnyEvent:
        kind, _, how = self.kind.partition(" ")
        delivery = str(delivery_id(self.campaign, self.step, str(self.lead)))
        of: dict[str, Any] = {
            "id": str(uuid.uuid5(_NAMES, f"{delivery} {self.kind} {self.at.isoformat()} {self.variety}")),
            "at": self.at,
            "delivery_id": delivery,
            "campaign": self.campaign,
            "step": self.step,
            "variant": "AB"[self.lead % 2],
            "lead": f"lead-{self.lead}",
        }
        if kind in ("open", "click"):
            of |= {"verdict": how, "reason": f"{how}-{self.variety}", "rules_version": "test"}
            of |= dict(zip(("client", "device", "country"), CAME_WITH[self.variety % 3], strict=True))
            return Opened(**of) if kind == "open" else Clicked(**of, link_id="def"[self.variety % 3] * 64)
        if kind == "unsubscribe":
            return Unsubscribed(**of, via="page")
        if kind == "resubscribe":
            return Resubscribed(**of)
        of["sender"] = f"sender-{self.lead % 2}@example.com"
        if kind == "sent":
            pixel, wrapped_links = (False, None, None)[self.lead % 3], (2, None, None, 0)[self.lead % 4]
            return Sent(**of, recipient_domain="example.net", message_id="", pixel=pixel, wrapped_links=wrapped_links)
        if kind == "delivered":
            return Delivered(**of)
        if kind == "bounce":
            return Bounced(**of, bounce_class=how, category="", status="", diagnostic="")  # type: ignore[arg-type]
        answer = {"reply": Replied, "auto_reply": AutoReplied, "complaint": Complained}[kind]
        return answer(**of, message_id="", matched_by="token")


def events_of(stories: Sequence[Told]) -> list[AnyEvent]:
    return [story.event() for story in dict.fromkeys(stories)]


def numbers_by_hand(
    events: Sequence[AnyEvent],
    since: datetime,
    until: datetime,
    campaigns: Collection[str] = (),
    only: tuple[str, int, str] | None = None,
) -> dict[str, int]:
    """The counts of the emails sent in the period, each email once."""
    of_email: defaultdict[str, list[Any]] = defaultdict(list)
    for event in events:
        if not campaigns or event.campaign in campaigns:
            of_email[event.delivery_id].append(event)
    counts = Counter[str]()
    for all_of_it in of_email.values():
        times = [event.at for event in all_of_it if isinstance(event, Sent)]
        one = all_of_it[0]
        if not times or not since <= min(times) < until:
            continue
        if only and only != (one.campaign, one.step, one.variant):
            continue
        counts.update(_of_email(all_of_it))
    names = (
        "sent", "hard_bounced", "soft_bounced", "blocked", "delivered", "opened", "raw_opened", "machine_opened", "clicked",
        "raw_clicked", "unsubscribed", "replied", "complained", "pixel_opened", "opened_with_pixel", "raw_opened_with_pixel",
        "delivered_with_pixel", "delivered_with_links",
    )  # fmt: skip
    return {name: counts[name] for name in names}


def has_pixel(events: Sequence[Any]) -> bool:
    """Whether an open of the email can be seen: unless its sent event says that it has no pixel."""
    return not any(isinstance(event, Sent) and event.pixel is False for event in events)


def has_links(events: Sequence[Any]) -> bool:
    """Whether a click in the email can be seen: unless its sent event says that no link was wrapped."""
    return not any(isinstance(event, Sent) and event.wrapped_links == 0 for event in events)


def _of_email(events: Sequence[Any]) -> set[str]:
    """What is to be said of an email, in the words of the queries."""
    found = {"sent"}
    classes = {event.bounce_class for event in events if isinstance(event, Bounced)}
    if "hard" in classes:
        found.add("hard_bounced")
    if classes & {"soft", "unknown"}:
        found.add("soft_bounced")
    if "block" in classes:
        found.add("blocked")
    if not classes:
        found.add("delivered")
    for kind, name in ((Opened, "opened"), (Clicked, "clicked")):
        verdicts = {event.verdict for event in events if isinstance(event, kind)}
        if verdicts:
            found.add(f"raw_{name}")
        if "human" in verdicts:
            found.add(name)
        if "machine" in verdicts and kind is Opened:
            found.add("machine_opened")
    found |= {"pixel_opened"} if "opened" in found else set()
    found |= {"opened"} if "clicked" in found else set()
    found |= {"raw_opened"} if "raw_clicked" in found else set()
    if has_pixel(events):
        found |= {f"{name}_with_pixel" for name in ("opened", "raw_opened", "delivered") if name in found}
    if "delivered" in found and has_links(events):
        found.add("delivered_with_links")
    left = [event.at for event in events if isinstance(event, Unsubscribed)]
    back = [event.at for event in events if isinstance(event, Resubscribed)]
    if left and not (back and max(back) >= max(left)):
        found.add("unsubscribed")
    found |= {"replied" for event in events if isinstance(event, Replied)}
    found |= {"complained" for event in events if isinstance(event, Complained)}
    return found


def hits_by_hand(
    events: Sequence[AnyEvent], since: datetime, until: datetime, campaigns: Collection[str] = ()
) -> dict[tuple[str, str], tuple[int, int]]:
    """Opens and clicks of the period by verdict and reason."""
    opens, clicks = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for event in events:
        if (
            isinstance(event, Opened | Clicked)
            and since <= event.at < until
            and (not campaigns or event.campaign in campaigns)
        ):
            (opens if isinstance(event, Opened) else clicks)[event.verdict, event.reason] += 1
    return {key: (opens[key], clicks[key]) for key in opens | clicks}


def people_by_hand(
    events: Sequence[AnyEvent], what: str, since: datetime, until: datetime, campaigns: Collection[str] = ()
) -> dict[str, tuple[int, int]]:
    """People's opens and clicks of the period by their client, device or country, as the events name it."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        if (
            isinstance(event, Opened | Clicked)
            and event.verdict == "human"
            and since <= event.at < until
            and (not campaigns or event.campaign in campaigns)
        ):
            counts[getattr(event, what)][isinstance(event, Clicked)] += 1
    return {name: (opens, clicks) for name, (opens, clicks) in counts.items()}


def people_views(
    events: Sequence[AnyEvent], since: datetime, until: datetime, campaigns: Collection[str] = ()
) -> dict[str, dict[Any, Any]]:
    """What each view of people's clients says of these events: name, counts and shares."""
    by = {what: people_by_hand(events, what, since, until, campaigns) for what in ("client", "device", "country")}
    opens, clicks = (sum(pair[place] for pair in by["client"].values()) for place in (0, 1))

    def share(count: int, of: int) -> float | None:
        return count / of if of else None

    def both(counts: dict[str, tuple[int, int]], nameless: str) -> dict[str, Any]:
        return {name or nameless: (o, c, share(o, opens), share(c, clicks)) for name, (o, c) in counts.items()}

    of_client = {name or "Not recorded": pair for name, pair in by["client"].items()}
    return {
        "opens_by_client": {name: (o, share(o, opens)) for name, (o, _) in of_client.items() if o},
        "clicks_by_client": {name: (c, share(c, clicks)) for name, (_, c) in of_client.items() if c},
        "people_by_device": both(by["device"], "Not recorded"),
        "people_by_country": both(by["country"], "No country") if any(by["country"]) else {},
    }


def people_rows(rows: Sequence[dict[str, Any]]) -> dict[Any, Any]:
    """The rows of such a view in the same shape; a name that comes twice is told by its count."""
    found = [tuple(row.values()) for row in rows]
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}
