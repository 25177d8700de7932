"""The accounts that mail leaves from and comes back to: `senders.toml` (SENDLENS_SENDERS), read and checked.

The file names variables, never secrets: `password_env = "NAME"` means the password stands in NAME, in the environment
or in `.env`. Without the file, or when no account of it has an `[account.smtp]`, all mail leaves through the one
server of SENDLENS_SMTP_*. `senders.example.toml` explains every key.
"""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct
from msgspec.structs import force_setattr, replace

from schemas.addresses import mailbox
from schemas.certificates import tls_context
from schemas.errors import Misconfigured, Reject
from schemas.providers import Provider
from schemas.settings import Settings
from schemas.settings.tracking import tracking_url
from schemas.text import first_control, one_line

Tls = Literal["none", "starttls", "tls"]
Limit = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Environment = Mapping[str, str]

# A file, and what the environment is at a moment: read at every login, so that a token renewed in `.env` is used.
ReadEnvironment = Callable[[], Environment]

# RFC 8314, 3.3 and 7.3, and RFC 9051, 2.1: submission and IMAP, by how the connection is secured.
_SMTP_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_IMAP_PORTS = {"none": 143, "starttls": 143, "tls": 993}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_ACCOUNT = re.compile(r"\.account\[(\d+)\](.*)")


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a server is and who logs in to it. `user` is the account's address unless it says otherwise.

    `ca_file` has the certificates (PEM) of the authorities that vouch for the server, SENDLENS_CA_FILE unless it says
    otherwise; a relative path starts at the folder of the file that names it.
    """

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: Port = 0
    user: str = ""
    password_env: str = ""
    oauth2_token_env: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        _no_control("host", self.host)
        _no_control("user", self.user)
        _no_control("ca_file", self.ca_file)
        if re.search(r"[\s/@]", self.host) or self.host.count(":") == 1:  # an IPv6 address has more
            raise ValueError("host: want a name or an IP address, without port")
        if self.password_env and self.oauth2_token_env:
            raise ValueError("password_env or oauth2_token_env, not both")
        for name in (self.password_env, self.oauth2_token_env):
            if name and not _VARIABLE.fullmatch(name):
                # Not repeated: it may be the secret itself.
                raise ValueError("password_env and oauth2_token_env name a variable, they are not the secret itself")

    def tls_context(self) -> ssl.SSLContext:
        """What the server's certificate is verified with, read again at each call. Raises Misconfigured."""
        return tls_context(self.ca_file)

    @property
    def has_secret(self) -> bool:
        """Whether there is anything to log in with."""
        return bool(self.password_env or self.oauth2_token_env)


class Smtp(Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that the account's mail leaves through. Without a secret it is used without login. `provider` is whose
    it is, if its webhooks come to us: an email is sent with what they need to name it."""

    tls: Tls = "starttls"
    provider: Provider | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.user and not self.has_secret:
            raise ValueError("user without password_env or oauth2_token_env")
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
        _no_control("authserv_id", self.authserv_id)
        if not self.has_secret:
            raise ValueError("password_env or oauth2_token_env is missing")
        # RFC 9051, 5.1: INBOX is the one name whose case means nothing.
        folders = tuple("INBOX" if folder.upper() == "INBOX" else folder for folder in self.folders)
        for folder in folders:
            _no_control("folders", folder)
        if not all(folders) or len(set(folders)) < len(folders):
            raise ValueError("folders: each a name, none twice")
        force_setattr(self, "folders", folders)
        force_setattr(self, "port", self.port or _IMAP_PORTS[self.tls])


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
        _no_control("key_file", self.key_file)
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
    dkim: Dkim | None = None

    def __post_init__(self) -> None:
        _no_control("address", self.address)
        _no_control("name", self.name)
        if self.address:
            force_setattr(self, "address", _address(self.address))
        if self.envelope_domain and not _DOMAIN.fullmatch(self.envelope_domain):
            raise ValueError("envelope_domain: want a name like bounces.example.com")
        if self.tracking_url:
            force_setattr(self, "tracking_url", tracking_url(self.tracking_url))
        if self.daily_limit and self.hourly_limit and self.hourly_limit > self.daily_limit:
            raise ValueError("hourly_limit is more than daily_limit")

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def _no_control(key: str, text: str) -> None:
    control = first_control(text)
    if control:
        raise ValueError(f"{key}: no control characters ({control})")


def _address(text: str) -> str:
    """An account's address, without a name and in lower case: what logs and metrics call it."""
    try:
        found = mailbox(text)
    except Reject as refused:
        raise ValueError(f"address: {refused.detail}") from None
    if found.name:
        raise ValueError("address: want local@domain.example; the name stands in `name`")
    return found.address.lower()


@dataclass(frozen=True, slots=True)
class Credential:
    """What to log in with, now. Never put it into a log; its text form does not tell the secret."""

    user: str
    kind: Literal["password", "oauth2"]
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Senders:
    """The accounts, in the file's order. `fallback` sends for everybody when no account of the file sends at all."""

    accounts: tuple[Account, ...]
    fallback: Account | None
    environment: ReadEnvironment = field(repr=False)

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

        Raises Misconfigured when the variable is not set.
        """
        if not login.has_secret:
            return None
        variable = login.password_env or login.oauth2_token_env
        secret = self.environment().get(variable)
        if not secret:
            raise Misconfigured(f"{variable} is not set: {login.user or login.host} can't log in to {login.host}")
        return Credential(login.user, "password" if login.password_env else "oauth2", secret)


class _SendersFile(Struct, forbid_unknown_fields=True):
    account: list[Account] = []


def load(settings: Settings) -> Senders:
    """Read the file that SENDLENS_SENDERS names. Raises Misconfigured with what is wrong, where, and what to do."""
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

    return Senders(accounts, fallback, environment)


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
    return accounts


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
