"""Emails on their way: attempts to put them to their mail servers, and how they wait between two of those."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from schemas.events import Id, Name, Send, Step, Time


class Attempt(Struct, frozen=True, kw_only=True):
    """An email is about to be handed to its mail server; written again with an `outcome` once that is known. Topic
    `attempts`, newest record wins.

    The first is written before the email's content goes out: without an outcome it is unknown whether it did.
    """

    delivery_id: Id
    request_id: Id
    attempt: int
    at: Time
    sender: str
    message_id: str
    outcome: Literal["", "delivered", "bounce", "deferred", "unanswered"] = ""
    # Of the email, for its sent event, which another worker may have to write. None: not known.
    pixel: bool | None = None
    wrapped_links: int | None = None


WaitState = Literal["deferred", "away", "over-limit", "unanswered", "again", "settled"]


class Wait(Struct, frozen=True, kw_only=True):
    """How an email waits: `attempt` attempts were made, the first at `first_at`; the next is at `due_at`.

    deferred: its mail server said not now. away: its mail server can't be reached, which is no attempt. over-limit:
    its account has sent as much as it may. unanswered: an operator decides, never due by itself. again: so decided.
    settled: it waits no more. `at` is when it began to wait, `message_id` that of the last attempt.
    """

    delivery_id: Id
    request_id: Id
    campaign: Name
    step: Step
    lead: Name
    sender: str
    state: WaitState
    attempt: int
    first_at: Time
    due_at: Time
    at: Time
    message_id: str = ""


class Waiting(Wait, frozen=True, kw_only=True):
    """An email that waits, with the request it came by, None when it is settled. Topic `retries`, newest wins."""

    send: Send | None = None
