"""The accounts that mail leaves from and comes back to, and what logs in to their servers."""

from schemas.senders.credential import AccessToken, AccessTokens, Credential, GrantSecrets
from schemas.senders.mail_servers import Imap, Login, Smtp
from schemas.senders.oauth2_grant import OAuth2Grant
from schemas.senders.senders import Account, Dkim, Senders, load, parse

__all__ = [
    "AccessToken",
    "AccessTokens",
    "Account",
    "Credential",
    "Dkim",
    "GrantSecrets",
    "Imap",
    "Login",
    "OAuth2Grant",
    "Senders",
    "Smtp",
    "load",
    "parse",
]
