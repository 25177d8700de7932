"""What a provider reports of one email, and what it is in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Literal, cast, get_args

from decisions.mail.bounce.category import UNKNOWN, Category
from decisions.mail.bounce.refusal import Assessment, assess
from decisions.tables import rows
from schemas.errors import Reject
from schemas.events import BounceClass
from schemas.providers import PROVIDERS, Provider

Kind = Literal["delivered", "deferred", "bounce", "complaint", "unsubscribe", "ignored"]

_KINDS: tuple[Kind, ...] = get_args(Kind)
_CLASSES: tuple[BounceClass, ...] = get_args(BounceClass)


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """One thing that a provider reports. `word` is what it calls that, from the general to the special, with `/`
    between; `cause` is the provider's own id of it, or what tells it from others.

    `passed` is what was passed along with the email, `message_id` its Message-ID as it was given to the provider,
    `return_path` its MAIL FROM: whatever there is of these.
    """

    word: str
    at: datetime
    cause: str
    recipient: str = ""
    sender: str = ""
    passed: str = ""
    message_id: str = ""
    return_path: str = ""
    status: str = ""
    diagnostic: str = ""
    attempt: int = 1
    feedback: str = "abuse"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a provider's word means; `category` where the mail server's own words decide nothing."""

    kind: Kind
    category: Category = field(default=UNKNOWN)


_DEEPEST = 4  # parts of a word in the table, at the most: what a stranger writes behind them is not looked up


def meaning_of(provider: Provider, word: str) -> Meaning | None:
    """What the word means; the general one where the special one is not known. None for a word that nobody knows."""
    parts = word.lower().split("/", _DEEPEST)
    for most in range(min(len(parts), _DEEPEST), 0, -1):
        if found := _words().get((provider, "/".join(parts[:most]))):
            return found
    return None


def assessed(report: ProviderReport, meaning: Meaning) -> Assessment:
    """Class, category and code of a bounce: by the server's own words, and else by the provider's word for it."""
    found = assess(report.diagnostic, report.status)
    if found.category.bounce_class == "unknown":
        return Assessment(meaning.category, found.status)
    return found


def moment(seconds: object) -> datetime:
    """A time given in epoch seconds. Raises Reject for anything else."""
    try:
        return datetime.fromtimestamp(float(cast("float", seconds)), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise Reject("malformed", f"{seconds!r} is no time in epoch seconds") from None


def moment_of(text: str) -> datetime:
    """A time in ISO 8601; .NET writes seven digits after the point. Raises Reject."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Reject("malformed", f"{text[:40]!r} is no time of ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@cache
def _words() -> Mapping[tuple[str, str], Meaning]:
    found: dict[tuple[str, str], Meaning] = {}
    for place, (provider, word, kind, bounce_class, category, _source) in rows("provider_words.tsv", 6):
        if provider not in PROVIDERS or kind not in _KINDS or (kind == "bounce") != (bounce_class in _CLASSES):
            raise ValueError(f"{place}: {provider}, {kind} and {bounce_class} don't go together")
        what = Category(cast("BounceClass", bounce_class), category) if kind == "bounce" else UNKNOWN
        if (provider, word) in found:
            raise ValueError(f"{place}: {word} is there twice")
        found[provider, word] = Meaning(kind, what)
    return found
