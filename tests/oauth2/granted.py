"""A grant of Anna's at an authorization server of the tests, and what renews its access tokens by a clock of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oauth2.renewal import TokenRenewal
from schemas.senders import GrantSecrets
from schemas.settings import Settings
from tests.support.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer

ANNA = "anna@example.com"
VARIABLE = "ANNA_REFRESH_TOKEN"
START = 1_790_000_000.0


@dataclass
class Granted:
    """What several processes see: one folder, one clock. `share` is the chance of their renewals."""

    server: AuthorizationServer
    folder: Path
    now: float = START
    share: float = 0.5
    refresh_token: str = ""
    changes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.refresh_token = self.refresh_token or self.server.consent(ANNA)

    @property
    def grant(self) -> GrantSecrets:
        """What the environment says now."""
        said = {
            "name": VARIABLE, "token_url": self.server.url, "scope": "", "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET, "refresh_token": self.refresh_token,
        }  # fmt: skip
        return GrantSecrets(**(said | self.changes))

    def process(self) -> TokenRenewal:
        """As a process that starts now has it."""
        settings = Settings(_env_file=None, data_dir=self.folder)  # type: ignore[call-arg]
        return TokenRenewal(settings, clock=lambda: self.now, share=lambda: self.share)

    @property
    def file(self) -> Path:
        return self.folder / "oauth2" / f"{VARIABLE}.json"

    @property
    def asked(self) -> int:
        """How often the server was asked."""
        return len(self.server.requests)


def granted(folder: Path, **options: object) -> Iterator[Granted]:
    with AuthorizationServer(**options) as server:  # type: ignore[arg-type]
        yield Granted(server, folder)
