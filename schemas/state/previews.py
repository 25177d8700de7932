"""The HTML that a platform declares for a variant, for the click map: a record of the topic `previews`."""

from __future__ import annotations

from msgspec import Struct

from schemas.events import Name, Step, Time


class Preview(Struct, frozen=True, kw_only=True):
    """A variant's email as its template has it, nobody's own. Topic `previews`, newest record wins.

    Empty `html` takes it back.
    """

    campaign: Name
    step: Step
    variant: str
    html: str
    at: Time

    @property
    def key(self) -> str:
        """The record's key on the topic. Ids hold no control characters, so the parts can't run into each other."""
        return "\x1f".join((self.campaign, str(self.step), self.variant))
