"""A verdict with its reason, and the event it becomes."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Clicked, Hit, Opened, Verdict


class Judgement(Struct, frozen=True, gc=False):
    """Who made a hit, and the word that says why."""

    verdict: Verdict
    reason: str


def to_event(hit: Hit, judgement: Judgement, version: str, agent: str = "", network: str = "") -> Opened | Clicked:
    """The event of a judged hit. Its id is the hit's, so that judging again writes the same event again.

    `agent` and `network` are what its user agent and address are known as.
    """
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
            agent=agent,
            ip=hit.ip,
            network=network,
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
        agent=agent,
        ip=hit.ip,
        network=network,
        link_id=hit.link_id,
    )
