"""The accounts that mail leaves from and comes back to: `senders.toml` (SENDLENS_SENDERS), read and checked.

The file names variables, never secrets: `password_env = "NAME"` means the password stands in NAME, in the environment
or in `.env`. Without the file, or when no account of it has an `[account.smtp]`, all mail leaves through the one
server of SENDLENS_SMTP_*. `senders.example.toml` explains every key.
"""

from __future__ import annotations

import os
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct
from msgspec.structs import force_setattr, replace

from schemas.addresses import mailbox
from schemas.certificates import tls_context
from schemas.errors import Misconfigured, Reject
from schemas.senders.credential import AccessToken, AccessTokens, Credential, GrantSecrets
from schemas.senders.mail_servers import Imap, Login, Smtp, no_control
from schemas.senders.oauth2_grant import OAuth2Grant
from schemas.settings import Settings
from schemas.settings.tracking import tracking_url
from schemas.text import one_line

Limit = Annotated[int, Meta(ge=1)]
Environment = Mapping[str, str]

# A file, and what the environment is at a moment: read at every login, so that a token renewed in `.env` is used.
ReadEnvironment = Callable[[], Environment]

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_ACCOUNT = re.compile(r"\.account\[(\d+)\](.*)")


class Dkim(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the account's mail is signed (RFC 6376). `domain` is that of the address unless it says otherwise.

    `key_file` is a private key in PEM; a relative path starts at the folder of the file that names it.
    """

    selector: str
    key_file: str
    domain: str = ""

    def __post_init__(self) -> None:
        if not _SELECTOR.fullmatch(self.selector):
            raise ValueError("selector: want letters, digits, dashes and dots")
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise ValueError("domain: want a name like example.com")
        no_control("key_file", self.key_file)
        if not self.key_file:
            raise ValueError("key_file: want the path of a private key in PEM")

    def key(self) -> bytes:
        """The private key as it stands in the file. Raises Misconfigured when it can't be read or is no such key."""
        try:
            pem = Path(self.key_file).read_bytes()
        except OSError as error:
            raise Misconfigured(f"dkim.key_file: {self.key_file} can't be read ({error.strerror})") from None
        if b"PRIVATE KEY-----" not in pem:
            raise Misconfigured(f"dkim.key_file: {self.key_file} is no private key in PEM")
        return pem


class Account(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender: its address, the servers of both directions, and what it may do. Either direction may be missing.

    After `load` every default is filled in. `address` is lower case and is what logs and metrics call the account;
    it is empty for the account of SENDLENS_SMTP_*, which sends for everybody. Limits are emails, None is no limit.
    `tracking_url` is empty where SENDLENS_PUBLIC_URL holds.
    """

    address: str
    name: Annotated[str, Meta(max_length=200)] = ""
    envelope_domain: str = ""
    tracking_url: str = ""
    daily_limit: Limit | None = None
    hourly_limit: Limit | None = None
    smtp: Smtp | None = None
    imap: Imap | None = None
    oauth2: OAuth2Grant | None = None
    dkim: Dkim | None = None

    def __post_init__(self) -> None:
        no_control("address", self.address)
        no_control("name", self.name)
        if self.address:
            force_setattr(self, "address", _address(self.address))
        if self.envelope_domain and not _DOMAIN.fullmatch(self.envelope_domain):
            raise ValueError("envelope_domain: want a name like bounces.example.com")
        if self.tracking_url:
            force_setattr(self, "tracking_url", tracking_url(self.tracking_url))
        if self.daily_limit and self.hourly_limit and self.hourly_limit > self.daily_limit:
            raise ValueError("hourly_limit is more than daily_limit")
        self._share_grant()

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]

    def _share_grant(self) -> None:
        """Give each server that says nothing else the account's OAuth 2.0 grant."""
        for name in ("smtp", "imap"):
            login = getattr(self, name)
            if login is not None and not login.has_secret and self.oauth2 is not None:
                force_setattr(self, name, replace(login, oauth2=self.oauth2))
        smtp, imap = self.smtp, self.imap
        if smtp is not None and smtp.user and not smtp.has_secret:
            raise ValueError("smtp: user without password_env, oauth2_token_env or [account.oauth2]")
        if imap is not None and not imap.has_secret:
            raise ValueError("imap: password_env, oauth2_token_env or [account.oauth2] is missing")
        if self.oauth2 and not any(one and one.oauth2 == self.oauth2 for one in (smtp, imap)):
            raise ValueError("oauth2: no server uses it: take password_env or oauth2_token_env out, or the table")


def _address(text: str) -> str:
    """An account's address, without a name and in lower case: what logs and metrics call it."""
    try:
        found = mailbox(text)
    except Reject as refused:
        raise ValueError(f"address: {refused.detail}") from None
    if found.name:
        raise ValueError("address: want local@domain.example; the name stands in `name`")
    return found.address.lower()


@dataclass(frozen=True)
class Senders:
    """The accounts, in the file's order. `fallback` sends for everybody when no account of the file sends at all."""

    accounts: tuple[Account, ...]
    fallback: Account | None
    environment: ReadEnvironment = field(repr=False)
    tokens: AccessTokens | None = field(default=None, repr=False)

    def sending(self, address: str) -> Account | None:
        """The account that mail from this address leaves by; None when no account may send as it.

        `address` is bare: no display name. Case is not looked at.
        """
        if self.fallback is not None:
            return self.fallback
        wanted = address.lower()
        return next((a for a in self.accounts if a.address == wanted and a.smtp is not None), None)

    @property
    def leaving(self) -> tuple[Account, ...]:
        """The accounts that mail leaves by."""
        return (self.fallback,) if self.fallback is not None else tuple(a for a in self.accounts if a.smtp is not None)

    @property
    def mailboxes(self) -> tuple[Account, ...]:
        """The accounts whose mailbox is read."""
        return tuple(account for account in self.accounts if account.imap is not None)

    def credential(self, login: Login) -> Credential | None:
        """What to log in with, read from the environment at this moment; None for a server without login.

        With an OAuth 2.0 grant this may ask the authorization server: keep it off an event loop. Raises Misconfigured
        when a variable is not set or the grant is refused, Retry when an access token can't be renewed now.
        """
        if not login.has_secret:
            return None
        grant = self.grant(login)
        if grant is None:
            secret = self._variable(login.variable, login)
            return Credential(login.user, "password" if login.password_env else "oauth2", secret)
        tokens = self._renewing
        token = tokens.get(grant)
        return Credential(login.user, "oauth2", token.secret, lambda: tokens.refused(grant, token.secret))

    def access(self, login: Login, *, insist: bool) -> AccessToken | None:
        """The access token of a login by a grant; None without one. `insist`: ask even if the server refused before.

        Raises as `credential` does.
        """
        grant = self.grant(login)
        return None if grant is None else self._renewing.get(grant, insist=insist)

    def grant(self, login: Login) -> GrantSecrets | None:
        """What access tokens of this login are renewed with, None for another kind. Raises Misconfigured when a
        variable is not set."""
        grant = login.oauth2
        if grant is None:
            return None
        return GrantSecrets(
            name=grant.refresh_token_env,
            token_url=grant.token_url,
            scope=grant.scope,
            client_id=self._variable(grant.client_id_env, login),
            client_secret=self._variable(grant.client_secret_env, login) if grant.client_secret_env else "",
            refresh_token=self._variable(grant.refresh_token_env, login),
        )

    def check_variables(self, login: Login) -> None:
        """Raise Misconfigured, with the variable to set, unless everything that the login needs is set."""
        if login.has_secret and self.grant(login) is None:
            self._variable(login.variable, login)

    @property
    def _renewing(self) -> AccessTokens:
        if self.tokens is None:
            raise AssertionError("loaded without what renews access tokens: see oauth2.renewal.load_senders")
        return self.tokens

    def _variable(self, name: str, login: Login) -> str:
        value = self.environment().get(name)
        if not value:
            raise Misconfigured(f"{name} is not set: {login.user or login.host} can't log in to {login.host}")
        return value


class _SendersFile(Struct, forbid_unknown_fields=True):
    account: list[Account] = []


def load(settings: Settings, tokens: AccessTokens | None = None) -> Senders:
    """Read the file that SENDLENS_SENDERS names; `tokens` renews access tokens, for who logs in.

    Raises Misconfigured with what is wrong, where, and what to do.
    """
    path = settings.senders
    try:
        accounts = parse(path.read_text("utf-8"), path, settings.envelope_domain, settings.ca_file)
    except FileNotFoundError:
        accounts = ()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"SENDLENS_SENDERS: {path} can't be read ({error})") from None
    fallback = None if any(account.smtp for account in accounts) else _of_settings(settings)
    logins = [login for one in (*accounts, fallback) if one for login in (one.smtp, one.imap) if login]
    for ca_file in sorted({login.ca_file for login in logins if login.ca_file}):
        tls_context(ca_file)  # raises now, not at the first connection

    def environment() -> Environment:
        found = {name: value for name, value in dotenv_values(".env").items() if value}
        return found | {"SENDLENS_SMTP_PASSWORD": settings.smtp_password} | os.environ

    return Senders(accounts, fallback, environment, tokens)


def parse(text: str, path: Path, envelope_domain: str, ca_file: str = "") -> tuple[Account, ...]:
    """The accounts of a file's text, defaults filled in; `path` is for messages and for relative key files."""
    document = _document(text, path)
    try:
        found = msgspec.convert(document, _SendersFile).account
    except msgspec.ValidationError as error:
        what = one_line(_explained(str(error), document))  # which repeats what stands there
        raise Misconfigured(f"{path}: {what}; see senders.example.toml") from None
    accounts = tuple(_filled_in(account, path.parent, envelope_domain, ca_file) for account in found)
    for number, account in enumerate(accounts):
        if not account.address:
            raise Misconfigured(f"{path}: account {number + 1}: address: want local@domain.example")
        if account.smtp is None and account.imap is None:
            raise Misconfigured(f"{path}: {account.address}: give it [account.smtp], [account.imap] or both")
        for other in accounts[:number]:
            if other.address == account.address:
                raise Misconfigured(f"{path}: {account.address} stands there twice: make it one account")
            if other.imap and account.imap and _place(other.imap) == _place(account.imap):
                raise Misconfigured(
                    f"{path}: {other.address} and {account.address} read the same mailbox, and every mail would come "
                    "twice: leave [account.imap] out of one"
                )
    _check_grants(accounts, path)
    return accounts


def _check_grants(accounts: tuple[Account, ...], path: Path) -> None:
    """A refresh token is renewed and kept under its variable's name, so that belongs to one grant."""
    known: dict[str, OAuth2Grant] = {}
    for account in accounts:
        for login in (account.smtp, account.imap):
            grant = None if login is None else login.oauth2
            if grant is not None and known.setdefault(grant.refresh_token_env, grant) != grant:
                raise Misconfigured(
                    f"{path}: {account.address}: {grant.refresh_token_env} is the refresh token of two different "
                    "grants: make them the same, or give each a variable of its own"
                )


def _document(text: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: not TOML: {error}") from None
    except RecursionError:
        why = "nested too deep"
    except ValueError as error:  # a number with more digits than Python reads
        why = str(error)
    raise Misconfigured(f"{path}: line {_breaks_at(text.split(chr(10)))}: {why}")


def _breaks_at(lines: list[str]) -> int:
    """The number of the line that the reader can't pass. It reads in order: a text that is cut off before that line is
    read, or found to be incomplete."""

    def breaks(count: int) -> bool:
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return False
        except (RecursionError, ValueError):
            return True
        return False

    return bisect_left(range(len(lines)), True, key=breaks)


def _place(login: Login) -> tuple[str, int, str]:
    return login.host.lower(), login.port, login.user.lower()


def _filled_in(account: Account, folder: Path, envelope_domain: str, ca_file: str) -> Account:
    """The account with what it left out."""
    smtp, imap, dkim = account.smtp, account.imap, account.dkim
    if smtp is not None:
        user = smtp.user or (account.address if smtp.has_secret else "")
        smtp = replace(smtp, user=user, ca_file=str(folder / smtp.ca_file) if smtp.ca_file else ca_file)
    if imap is not None:
        own = str(folder / imap.ca_file) if imap.ca_file else ca_file
        imap = replace(imap, user=imap.user or account.address, ca_file=own)
    if dkim is not None:
        dkim = replace(dkim, domain=dkim.domain or account.domain, key_file=str(folder / dkim.key_file))
    return replace(account, envelope_domain=account.envelope_domain or envelope_domain, smtp=smtp, imap=imap, dkim=dkim)


def _of_settings(settings: Settings) -> Account:
    """The one account of an installation without the file: SENDLENS_SMTP_*, for every From address."""
    try:
        smtp = Smtp(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            ca_file=settings.ca_file,
            user=settings.smtp_user,
            password_env="SENDLENS_SMTP_PASSWORD" if settings.smtp_user else "",
        )
    except ValueError as error:
        raise Misconfigured(f"SENDLENS_SMTP_*: {error}") from None
    return Account(address="", envelope_domain=settings.envelope_domain, smtp=smtp)


def _explained(message: str, document: dict[str, object]) -> str:
    """msgspec's message with its path in the file's own words: which account, which table, which key."""
    matched = _PLACE.match(message)
    what, place = (matched[1], matched[2] or "") if matched else (message, "")
    in_account = _ACCOUNT.match(place)
    if not in_account:
        return f"{place.lstrip('.')}: {what}" if place else what
    number, rest = int(in_account[1]), in_account[2].lstrip(".")
    accounts = document.get("account")
    entry = accounts[number] if isinstance(accounts, list) else None
    address = entry.get("address") if isinstance(entry, dict) else None
    named = f"account {number + 1}" + (f" ({address})" if isinstance(address, str) else "")
    return f"{named}: {rest}: {what}" if rest else f"{named}: {what}"
