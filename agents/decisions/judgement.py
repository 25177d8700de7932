"""A verdict with its reason, and the event it becomes."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Clicked, Hit, Opened, Verdict


class Judgement(Struct, frozen=True, gc=False):
    """Who made a hit, and the word that says why."""

    verdict: Verdict
    reason: str


class Origin(Struct, frozen=True, gc=False):
    """What a hit's user agent and address are known as, "" for what nobody knows."""

    agent: str = ""
    network: str = ""


UNKNOWN_ORIGIN = Origin()


def to_event(hit: Hit, judgement: Judgement, version: str, origin: Origin = UNKNOWN_ORIGIN) -> Opened | Clicked:
    """The event of a judged hit. Its id is the hit's, so that judging again writes the same event again."""
    if hit.kind == "open":
        return Opened(
            id=hit.id,
            at=hit.at,
            delivery_id=hit.delivery_id,
            campaign=hit.campaign,
            step=hit.step,
            variant=hit.variant,
            lead=hit.lead,
            verdict=judgement.verdict,
            reason=judgement.reason,
            rules_version=version,
            user_agent=hit.user_agent,
            agent=origin.agent,
            ip=hit.ip,
            network=origin.network,
        )
    return Clicked(
        id=hit.id,
        at=hit.at,
        delivery_id=hit.delivery_id,
        campaign=hit.campaign,
        step=hit.step,
        variant=hit.variant,
        lead=hit.lead,
        verdict=judgement.verdict,
        reason=judgement.reason,
        rules_version=version,
        user_agent=hit.user_agent,
        agent=origin.agent,
        ip=hit.ip,
        network=origin.network,
        link_id=hit.link_id,
    )
