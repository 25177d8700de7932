"""The words for a refusal: its class, its category, and the stage of the session that it came at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.events import BounceClass

Stage = Literal["connect", "mail", "rcpt", "data"]


@dataclass(frozen=True, slots=True)
class Category:
    """A refusal's class, and one word for what was wrong."""

    bounce_class: BounceClass
    category: str


UNKNOWN = Category("unknown", "unknown")
