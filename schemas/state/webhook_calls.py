"""Who is told of events, and what could not be handed over yet. Topics `webhooks` and `calls`, newest record wins."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from schemas.events import Id, Time


class Endpoint(Struct, frozen=True, kw_only=True):
    """An address that gets events of some kinds; of all kinds when `kinds` is empty. `with_to`: it asked for the
    recipient's address.

    Its secret is nowhere: it is derived from the signing keys and the id (Keyring.webhook_secrets).
    """

    id: Id
    url: str
    kinds: tuple[str, ...] = ()
    created_at: Time
    state: Literal["enabled", "disabled", "removed"] = "enabled"
    since: Time
    reason: str = ""
    with_to: bool = False

    def wants(self, kind: str) -> bool:
        return self.state == "enabled" and (not self.kinds or kind in self.kinds)


class Call(Struct, frozen=True, kw_only=True):
    """An event that an endpoint has not taken yet. `partition` is the one of `events` that it came on: the worker
    that owns it tries again. `body` is empty when nothing is left to do."""

    endpoint: Id
    event: Id
    kind: str
    partition: int
    attempt: int
    first_at: Time
    due_at: Time
    state: Literal["waiting", "taken", "given-up", "dropped"] = "waiting"
    answer: str = ""
    body: str = ""

    @property
    def key(self) -> str:
        """The record's key on the topic."""
        return f"{self.endpoint}/{self.event}"


class EventNotice(Struct, frozen=True):
    """What an endpoint gets: the event's kind and moment, and the event itself, as `schemas/json` describes it, with
    `campaign`, `step`, `variant`, `lead` and `reason` whatever its kind, and `to` where the endpoint asked for it."""

    type: str
    timestamp: str
    data: dict[str, Any]
