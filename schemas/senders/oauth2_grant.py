"""How access to a mailbox is renewed by OAuth 2.0: the table `[account.oauth2]` of `senders.toml`.

The token endpoints are those of the vendors' pages:
https://developers.google.com/identity/protocols/oauth2/web-server#offline
https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from schemas.settings.reading import is_loopback
from schemas.text import first_control

_GOOGLE = "https://oauth2.googleapis.com/token"
_MICROSOFT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
# https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
_MICROSOFT_SCOPE = (
    "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access"
)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# RFC 6749, 3.3: words of printable ASCII without quotes and backslashes.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")

Variable = Annotated[str, Meta(max_length=100)]


class OAuth2Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where access tokens are renewed, and the variables that hold what is needed for it. No secret stands here.

    Either `provider` or `token_url` says where; `tenant` is Microsoft's alone. Without `scope` Microsoft is asked for
    IMAP and SMTP, and others for what the mailbox's owner consented to (RFC 6749, 6). A client without a secret
    (RFC 6749, 2.1: public) has no `client_secret_env`. After reading, `token_url` and `scope` are filled in.
    """

    client_id_env: Variable
    refresh_token_env: Variable
    client_secret_env: Variable = ""
    provider: Literal["google", "microsoft"] | None = None
    tenant: str = ""
    token_url: Annotated[str, Meta(max_length=2000)] = ""
    scope: Annotated[str, Meta(max_length=2000)] = ""

    def __post_init__(self) -> None:
        named = (self.client_id_env, self.refresh_token_env, self.client_secret_env or "NONE")
        if not all(VARIABLE.fullmatch(name) for name in named):
            # Not repeated: it may be the secret itself.
            raise ValueError("client_id_env, client_secret_env and refresh_token_env name variables, not the secrets")
        if self.scope and not _SCOPE.fullmatch(self.scope):
            raise ValueError("scope: want words of ASCII with a blank between them")
        if self.tenant and self.provider != "microsoft":
            raise ValueError('tenant: only with provider = "microsoft"')
        if self.tenant and not _TENANT.fullmatch(self.tenant):
            raise ValueError("tenant: want the directory's id or domain, common, organizations or consumers")
        force_setattr(self, "token_url", self._endpoint())
        if self.provider == "microsoft":
            force_setattr(self, "scope", self.scope or _MICROSOFT_SCOPE)

    def _endpoint(self) -> str:
        """The provider's, or the one that is named. Raises ValueError for both and for neither."""
        known = {"google": _GOOGLE, "microsoft": _MICROSOFT.format(tenant=self.tenant or "common")}
        url = known.get(self.provider or "", self.token_url)
        if not url or self.token_url not in ("", url):
            raise ValueError('want provider = "google", provider = "microsoft" or a token_url, one of the three')
        _check_url(url)
        return url


def _check_url(url: str) -> None:
    """The secrets are sent there (RFC 6749, 3.2: over TLS). On this machine nobody reads the line."""
    if first_control(url) or " " in url:
        raise ValueError("token_url: no blanks and no control characters")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or "@" in parts.netloc or parts.fragment:
        raise ValueError("token_url: want https://, a host and a path")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("token_url: want https://, because the secrets are sent there")
