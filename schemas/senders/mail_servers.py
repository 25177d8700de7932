"""Where an account's mail servers are, how the connection is secured, and who logs in."""

from __future__ import annotations

import re
import ssl
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from schemas.certificates import tls_context
from schemas.providers import Provider
from schemas.senders.oauth2_grant import VARIABLE, OAuth2Grant
from schemas.text import first_control

Tls = Literal["none", "starttls", "tls"]
Port = Annotated[int, Meta(ge=0, le=65535)]

# RFC 8314, 3.3 and 7.3, and RFC 9051, 2.1: submission and IMAP, by how the connection is secured.
_SMTP_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_IMAP_PORTS = {"none": 143, "starttls": 143, "tls": 993}


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a server is and who logs in to it. `user` is the account's address unless it says otherwise.

    At most one of `password_env`, `oauth2_token_env` (a token that something else renews) and `oauth2` says by what;
    without any it is the account's `oauth2`.
    `ca_file` has the certificates (PEM) of the authorities that vouch for the server, SENDLENS_CA_FILE unless it says
    otherwise; a relative path starts at the folder of the file that names it.
    """

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Port = 0
    user: str = ""
    password_env: str = ""
    oauth2_token_env: str = ""
    oauth2: OAuth2Grant | None = None
    ca_file: str = ""

    def __post_init__(self) -> None:
        no_control("host", self.host)
        no_control("user", self.user)
        no_control("ca_file", self.ca_file)
        if re.search(r"[\s/@]", self.host) or self.host.count(":") == 1:  # an IPv6 address has more
            raise ValueError("host: want a name or an IP address, without port")
        if sum(map(bool, (self.password_env, self.oauth2_token_env, self.oauth2))) > 1:
            raise ValueError("password_env, oauth2_token_env or oauth2: one of them, not both")
        for name in (self.password_env, self.oauth2_token_env):
            if name and not VARIABLE.fullmatch(name):
                # Not repeated: it may be the secret itself.
                raise ValueError("password_env and oauth2_token_env name a variable, they are not the secret itself")

    def tls_context(self) -> ssl.SSLContext:
        """What the server's certificate is verified with, read again at each call. Raises Misconfigured."""
        return tls_context(self.ca_file)

    @property
    def has_secret(self) -> bool:
        """Whether there is anything to log in with."""
        return bool(self.password_env or self.oauth2_token_env or self.oauth2)

    @property
    def variable(self) -> str:
        """The variable that logs in, for messages: the password's, the token's or the refresh token's."""
        return self.password_env or self.oauth2_token_env or (self.oauth2.refresh_token_env if self.oauth2 else "")


class Smtp(Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that the account's mail leaves through, without login where nothing says what to log in with.
    `provider` is whose it is, if its webhooks come to us: an email is sent with what they need to name it."""

    tls: Tls = "starttls"
    provider: Provider | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        force_setattr(self, "port", self.port or _SMTP_PORTS[self.tls])


class Imap(Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mailbox that replies and bounces come to. Without `tls = "none"` no login goes over a readable line.

    `authserv_id` is what the mailbox's server calls itself in Authentication-Results (RFC 8601, 2.5); empty, the
    topmost of these headers is taken for the server's own.
    """

    tls: Tls = "tls"
    folders: Annotated[tuple[str, ...], Meta(min_length=1, max_length=50)] = ("INBOX", "Junk")
    authserv_id: Annotated[str, Meta(max_length=253)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        no_control("authserv_id", self.authserv_id)
        # RFC 9051, 5.1: INBOX is the one name whose case means nothing.
        folders = tuple("INBOX" if folder.upper() == "INBOX" else folder for folder in self.folders)
        for folder in folders:
            no_control("folders", folder)
        if not all(folders) or len(set(folders)) < len(folders):
            raise ValueError("folders: each a name, none twice")
        force_setattr(self, "folders", folders)
        force_setattr(self, "port", self.port or _IMAP_PORTS[self.tls])


def no_control(key: str, text: str) -> None:
    """Raise ValueError when the text of this key has a control character."""
    control = first_control(text)
    if control:
        raise ValueError(f"{key}: no control characters ({control})")
