"""The endpoints of webhooks, as every process sees them."""

from __future__ import annotations

from schemas.settings import Settings
from schemas.state.webhook_calls import Endpoint
from schemas.topics import WEBHOOKS
from stream.state import StateTopic


def endpoints_view(settings: Settings) -> StateTopic[Endpoint]:
    """Every endpoint that was not removed."""
    return StateTopic(settings, WEBHOOKS, Endpoint, key=lambda one: one.id, over=lambda one: one.state == "removed")
