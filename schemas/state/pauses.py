"""What pausing and resuming a campaign writes: a state for the sender, and an event for the record.

The guard pauses, and operators pause and resume, from different programs; both write what is made here, the event
first. A crash between the two leaves an event that the same cause writes again, under the same id, before the state.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.events import CampaignPaused, CampaignResumed, Pause, to_ms
from schemas.tokens import event_id

Reason = Literal["bounces", "operator"]


def paused(
    campaign: str,
    before: Pause | None,
    at: datetime,
    reason: Reason,
    *,
    detail: str = "",
    sent: int = 0,
    hard_bounced: int = 0,
) -> tuple[CampaignPaused, Pause]:
    """Pause a campaign that runs since `before`, the record of its last resuming, or since ever (None).

    A campaign is paused once in each of its runs, so the run is the event's cause: pausing it again, by
    anyone, writes the same id.
    """
    at = to_ms(at)
    event = CampaignPaused(
        id=str(event_id(campaign, f"campaign_paused\x1f{_moment(before)}")),
        at=at,
        campaign=campaign,
        reason=reason,
        detail=detail,
        sent=sent,
        hard_bounced=hard_bounced,
    )
    return event, Pause(campaign=campaign, paused=True, at=at, reason=reason)


def resumed(pause: Pause, at: datetime) -> tuple[CampaignResumed, Pause]:
    """Take a pause back. What bounced of the emails sent before is not counted against the campaign again."""
    at = to_ms(at)
    id_ = str(event_id(pause.campaign, f"campaign_resumed\x1f{_moment(pause)}"))
    event = CampaignResumed(id=id_, at=at, campaign=pause.campaign)
    return event, Pause(campaign=pause.campaign, paused=False, at=at)


def running_since(pause: Pause | None) -> datetime | None:
    """Since when a campaign that is not paused runs; None for ever."""
    return None if pause is None or pause.paused else pause.at


def _moment(pause: Pause | None) -> str:
    return "" if pause is None else str(int(pause.at.timestamp() * 1000))
