"""What is known of one grant, and what follows for a login now. Nothing here reads a clock or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from oauth2.authorization_server import GrantRefused, NotRenewed, Renewed
from schemas.senders import GrantSecrets

# A token is renewed when a tenth to a fifth of its life is left, by chance: of an hour's, 6 to 12 minutes.
_LEFT = 0.1
_MOST_LEFT_SECONDS = 900.0
# A token that is about to end is not used for a login, which takes a moment.
_LOGIN_SECONDS = 10.0
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0
_MOST_WAIT = 3600.0
# A mail server that refuses a token younger than this would refuse the next one too.
_REFUSED_AFTER_SECONDS = 300.0


class KeptTokens(Struct, frozen=True, omit_defaults=True):
    """The tokens of a grant, and how asking for them went. Times are seconds since 1970.

    `chain` and `request` are those of the GrantSecrets that were asked with. `refused` and `trouble` say why there is
    no new token; a refused grant is not asked for again before the request is another, or somebody insists.
    """

    chain: str
    request: str
    refresh_token: str
    access_token: str = ""
    renewed_at: float = 0.0
    expires_at: float = 0.0
    refused: str = ""
    trouble: str = ""
    failures: int = 0
    ask_after: float = 0.0

    def __repr__(self) -> str:
        return f"KeptTokens(expires_at={self.expires_at}, refused={self.refused!r}, trouble={self.trouble!r})"

    def valid(self, now: float) -> bool:
        """Whether the access token lets in now and in a moment."""
        moment = min(_LOGIN_SECONDS, (self.expires_at - self.renewed_at) / 20)
        return bool(self.access_token) and now < self.expires_at - moment

    def renew_at(self, share: float) -> float:
        """When to renew; `share` is a random number of 0..1, so that processes do not ask at the same time."""
        left = (self.expires_at - self.renewed_at) * _LEFT * (1 + share)
        return self.expires_at - min(left, _MOST_LEFT_SECONDS)


@dataclass(frozen=True, slots=True)
class Step:
    """What a login does: use the kept token, ask for one, or give up with `why`."""

    does: Literal["use", "ask", "wait", "refused"]
    why: str = ""


def begun(grant: GrantSecrets, kept: KeptTokens | None) -> KeptTokens:
    """What holds for this grant. A new refresh token in the environment begins from nothing; another client secret or
    scope has the refresh token that was kept, and is asked with at once."""
    if kept is None or kept.chain != grant.chain:
        return KeptTokens(grant.chain, grant.request, grant.refresh_token)
    if kept.request != grant.request:
        return KeptTokens(grant.chain, grant.request, kept.refresh_token)
    return kept


def next_step(kept: KeptTokens, now: float, share: float, *, insist: bool = False) -> Step:
    """What to do for a login at this moment."""
    valid, troubled = kept.valid(now), bool(kept.refused or kept.trouble)
    if valid and now < kept.renew_at(share) and not (insist and troubled):
        return Step("use")
    if insist:
        return Step("ask")
    if kept.refused:
        return Step("use") if valid else Step("refused", kept.refused)
    # A clock that was set back must not keep us waiting.
    if now < kept.ask_after <= now + _MOST_WAIT:
        return Step("use") if valid else Step("wait", kept.trouble)
    return Step("ask")


def after(kept: KeptTokens, answer: Renewed | GrantRefused | NotRenewed, now: float, share: float) -> KeptTokens:
    """What is known after the server answered; `now` is when it was asked."""
    if isinstance(answer, Renewed):
        return KeptTokens(
            chain=kept.chain,
            request=kept.request,
            refresh_token=answer.refresh_token or kept.refresh_token,
            access_token=answer.access_token,
            renewed_at=now,
            expires_at=now + answer.seconds,
        )
    if isinstance(answer, GrantRefused):
        return replace(kept, refused=answer.why, trouble="", failures=0, ask_after=0.0)
    failures = min(kept.failures + 1, 20)
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1)) * (0.5 + share / 2)
    ask_after = now + min(max(pause, answer.wait), _MOST_WAIT)
    return replace(kept, trouble=answer.why, failures=failures, ask_after=ask_after)


def without(kept: KeptTokens, token: str, now: float) -> KeptTokens:
    """What is known after a mail server refused the token: an older one was revoked, and is not used again."""
    if kept.access_token != token or abs(now - kept.renewed_at) < _REFUSED_AFTER_SECONDS:
        return kept
    return replace(kept, access_token="", renewed_at=0.0, expires_at=0.0)
