"""An account that logs in by OAuth 2.0, and a real SMTP server that lets it in."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

from aiosmtpd.smtp import MISSING, SMTP, AuthResult

from tests.agents.transport.smtp_server import Server
from tests.oauth2.granted import ANNA
from tests.support.authorization_server import AuthorizationServer


class MailServer(Server):
    """Takes mail from who logs in by XOAUTH2 with a token that is good now. `challenges`: it says why not as Google
    does, in a challenge to which the client answers with an empty line."""

    challenges = False
    tokens: AuthorizationServer

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        user, bearer, *_ = b64decode(args[1]).decode().split("\x01")
        owner = self.tokens.owner_of(bearer.removeprefix("auth=Bearer "))
        good = owner is not None and user == f"user={owner}"
        if not good and self.challenges:
            answered = await server.challenge_auth(b'{"status":"401","schemes":"bearer"}')
            assert answered in (b"", MISSING)
        return AuthResult(success=good, handled=False)


def written(folder: Path, tokens: AuthorizationServer, smtp: int = 0, imap: int = 0) -> str:
    """A senders.toml of Anna with a grant for these servers."""
    text = (
        f'[[account]]\naddress = "{ANNA}"\n[account.oauth2]\ntoken_url = "{tokens.url}"\nclient_id_env = "T_ID"\n'
        'client_secret_env = "T_SECRET"\nrefresh_token_env = "T_REFRESH"\n'
    )
    for name, port in (("smtp", smtp), ("imap", imap)):
        text += f'[account.{name}]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n' if port else ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "senders.toml").write_text(text)
    return text
