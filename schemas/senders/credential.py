"""What logs in to a mail server: a password, or an access token that is renewed by somebody else's hand or by ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, Protocol


def _nothing() -> None:
    """A password and a token of the environment are not renewed here."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What to log in with, now. Never put it into a log; its text form does not tell the secret.

    Call `refused` when the server did not let it in: an access token that was revoked early is renewed at the next
    login. It reads and writes files.
    """

    user: str
    kind: Literal["password", "oauth2"]
    secret: str = field(repr=False)
    refused: Callable[[], None] = field(default=_nothing, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class GrantSecrets:
    """An OAuth 2.0 grant with what its variables hold now. `name` is the variable of the refresh token."""

    name: str
    token_url: str
    scope: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @property
    def chain(self) -> str:
        """Which consent this is: refresh tokens that descend from the given one belong to it. Not reversible."""
        return _digest(self.token_url, self.client_id, self.refresh_token)

    @property
    def request(self) -> str:
        """The whole request: another one is made, and may be granted, when anything of it is changed."""
        return _digest(self.chain, self.client_secret, self.scope)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. `expires_at` is in seconds since 1970; `trouble` is why it could not be renewed, or empty."""

    secret: str = field(repr=False)
    expires_at: float
    trouble: str = ""


class AccessTokens(Protocol):
    """Renews access tokens. It reads files and asks servers, so keep it off an event loop."""

    def get(self, grant: GrantSecrets, *, insist: bool = False) -> AccessToken:
        """A token that is valid now. `insist`: ask the server even if it refused before or is to be left alone.

        Raises Misconfigured when the server refuses the grant, Retry when it can't be asked now.
        """
        ...

    def refused(self, grant: GrantSecrets, token: str) -> None:
        """A mail server did not take this token."""
        ...


def _digest(*parts: str) -> str:
    digest = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()
