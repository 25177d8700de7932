"""A verdict with its reason, and the event it becomes."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr

from schemas.events import Clicked, Hit, Opened, Verdict


class Judgement(Struct, frozen=True, gc=False):
    """Who made a hit, and the word that says why."""

    verdict: Verdict
    reason: str


def to_event(
    hit: Hit,
    judgement: Judgement,
    version: str,
    agent: str = "",
    network: str = "",
    *,
    ip: str | None = None,
    client: str = "",
    device: str = "",
    country: str = "",
) -> Opened | Clicked:
    """The event of a judged hit. Its id is the hit's, so that judging again writes the same event again.

    `agent` and `network` are what its user agent and address are known as. `ip` is what is kept of the address, None
    for all of it. `client`, `device` and `country` are as the event has them.
    """
    event: Opened | Clicked
    if ip is None:
        ip = hit.ip
    if hit.kind == "open":
        event = Opened(
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
            ip=ip,
            network=network,
        )
    else:
        event = Clicked(
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
            ip=ip,
            network=network,
            link_id=hit.link_id,
        )
    # A call with more than 15 names makes a dict of them first, which takes longer than all of this.
    if client:
        force_setattr(event, "client", client)
    if device:
        force_setattr(event, "device", device)
    if country:
        force_setattr(event, "country", country)
    return event
