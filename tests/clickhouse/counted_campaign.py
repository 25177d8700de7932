"""What Campaign and Robots ask beside the plain numbers, counted by hand: links, rules, delays, replies, bounces."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct

from schemas.events import AnyEvent, Bounced, CampaignResumed, Clicked, Delivered, Opened, Replied, Sent
from tests.clickhouse.counted import has_links, has_pixel

BOUNDS = (60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800)
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Ask = Callable[..., list[dict[str, Any]]]


class Cohort(Struct):
    """Emails sent in a period, all events of each, and when each was sent."""

    emails: list[list[Any]]

    def by_campaign(self) -> dict[str, list[list[Any]]]:
        found: defaultdict[str, list[list[Any]]] = defaultdict(list)
        for events in self.emails:
            found[events[0].campaign].append(events)
        return found


def cohort(
    events: Iterable[AnyEvent], since: datetime, until: datetime, campaigns: Collection[str], steps: Collection[int]
) -> Cohort:
    of_email: defaultdict[str, list[Any]] = defaultdict(list)
    for event in events:
        if (
            not isinstance(event, CampaignResumed)
            and (not campaigns or event.campaign in campaigns)  # type: ignore[union-attr]
            and (not steps or event.step in steps)  # type: ignore[union-attr]
        ):
            of_email[event.delivery_id].append(event)  # type: ignore[union-attr]
    return Cohort([found for found in of_email.values() if (at := sent_at(found)) and since <= at < until])


def sent_at(events: Iterable[Any]) -> datetime | None:
    return min((event.at for event in events if isinstance(event, Sent)), default=None)


def delays(emails: Cohort) -> list[float]:
    found = []
    for events in emails.emails:
        opened = [event.at for event in events if isinstance(event, Opened | Clicked) and event.verdict == "human"]
        taken = [event.at for event in events if isinstance(event, Delivered)]
        if opened:
            begins = min(taken) if taken else sent_at(events)
            assert begins is not None
            found.append(max(0.0, (min(opened) - begins).total_seconds()))
    return sorted(found)


def quantile(values: Sequence[float], level: float) -> float | None:
    """By linear interpolation between the two nearest: Hyndman and Fan's definition 7."""
    if not values:
        return None
    place = level * (len(values) - 1)
    below = int(place)
    return values[below] + (place - below) * (values[min(below + 1, len(values) - 1)] - values[below])


def links(emails: Cohort) -> dict[tuple[str, str], tuple[int, int, float | None]]:
    """By campaign and link: emails in which a person and in which anybody followed it, and the former of delivered."""
    found: dict[tuple[str, str], tuple[int, int, float | None]] = {}
    for campaign, all_of_it in emails.by_campaign().items():
        by_person, by_any = Counter[str](), Counter[str]()
        for events in all_of_it:
            clicks = [event for event in events if isinstance(event, Clicked)]
            by_any.update({event.link_id for event in clicks})
            by_person.update({event.link_id for event in clicks if event.verdict == "human"})
        delivered = sum(
            has_links(events) and not any(isinstance(event, Bounced) for event in events) for events in all_of_it
        )
        for link, anybody in by_any.items():
            found[campaign, link] = (by_person[link], anybody, by_person[link] / delivered if delivered else None)
    return found


def rules(emails: Cohort) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By verdict and reason: emails with such a hit, and those that it alone opened and clicked in."""
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for events in emails.emails:
        hits = [event for event in events if isinstance(event, Opened | Clicked)]
        for rule in {(hit.verdict, hit.reason) for hit in hits if hit.verdict != "human"}:
            found[rule][0] += 1
            clicks = [hit for hit in hits if isinstance(hit, Clicked)]
            for place, of_kind in ((1, hits), (2, clicks)):  # who clicks has opened
                by_rule = any((hit.verdict, hit.reason) == rule for hit in of_kind)
                may_show = place == 2 or has_pixel(events)
                found[rule][place] += may_show and by_rule and not any(hit.verdict == "human" for hit in of_kind)
    return {rule: (one, two, three) for rule, (one, two, three) in found.items()}


def bounces(events: Sequence[AnyEvent], emails: Cohort) -> dict[str, tuple[int, int]]:
    """By campaign of these emails: sent since it was last resumed, and of them bounced hard."""
    found = {}
    for campaign in emails.by_campaign():
        resumed = [event.at for event in events if isinstance(event, CampaignResumed) and event.campaign == campaign]
        of_campaign = cohort(events, max(resumed, default=_EVER), _NEVER, (campaign,), ())
        hard = [any(isinstance(e, Bounced) and e.bounce_class == "hard" for e in of) for of in of_campaign.emails]
        found[campaign] = (len(hard), sum(hard))
    return found


def assert_campaign_right(
    ask: Ask,
    events: list[AnyEvent],
    since: datetime,
    until: datetime,
    campaigns: tuple[str, ...],
    steps: tuple[int, ...],
) -> None:
    """What the queries say is what counting by hand says."""
    now = cohort(events, since, until, campaigns, steps)
    before = cohort(events, since - (until - since), since, campaigns, steps)

    found = ask("followed_links", since, until, *campaigns, steps=steps)
    wanted = links(now)
    assert {(r["campaign_id"], r["link_id"]): (r["clicked"], r["raw_clicked"], r["click_rate"]) for r in found} == {
        key: (people, anybody, None if rate is None else pytest.approx(rate))
        for key, (people, anybody, rate) in wanted.items()
    }

    waited = delays(now)
    places = Counter(sum(delay >= bound for bound in BOUNDS) for delay in waited)
    found = ask("open_delays", since, until, *campaigns, steps=steps)
    assert [row["opened"] for row in found] == [places[place] for place in range(12)]
    for row, of in zip(
        ask("time_to_open", since, until, *campaigns, steps=steps), (delays(before), waited), strict=True
    ):
        assert row["opened"] == len(of)
        for name, level in (("p50", 0.5), ("p90", 0.9)):
            assert row[name] == (None if not of else pytest.approx(quantile(of, level)))

    by_rule = rules(now)
    hits = Counter(
        (event.verdict, event.reason)
        for event in events
        if isinstance(event, Opened | Clicked)
        and event.verdict != "human"
        and since <= event.at < until
        and (not campaigns or event.campaign in campaigns)
        and (not steps or event.step in steps)
    )
    found = ask("removed_by_rule", since, until, *campaigns, steps=steps)
    assert {(r["verdict"], r["reason"]): r["hits"] for r in found if r["hits"]} == hits
    assert {
        (r["verdict"], r["reason"]): (r["emails"], r["more_opened"], r["more_clicked"]) for r in found if r["emails"]
    } == by_rule

    replies = [
        event
        for event in events
        if isinstance(event, Replied)
        and since <= event.at < until
        and (not campaigns or event.campaign in campaigns)
        and (not steps or event.step in steps)
    ]
    found = ask("replies", since, until, *campaigns, steps=steps)
    assert sorted((row["campaign_id"], row["lead"]) for row in found) == sorted((e.campaign, e.lead) for e in replies)
    assert [row["time"] for row in found] == sorted((row["time"] for row in found), reverse=True)

    found = ask("bounce_limits", since, until, *campaigns)
    assert {row["campaign_id"]: (row["sent"], row["hard_bounced"]) for row in found} == bounces(
        events, cohort(events, since, until, campaigns, ())
    )
