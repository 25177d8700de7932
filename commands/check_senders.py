"""`sendlens senders`: the accounts of senders.toml, tried on their real servers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.doctor.diagnosis import Diagnosis
from commands.edge import BAD_INPUT, explained, read_settings
from schemas.certificates import advice_on, tls_context
from schemas.errors import Misconfigured, Retry
from schemas.senders import Account, Credential, Dkim, Imap, Login, Senders, Smtp
from schemas.settings import Settings
from schemas.settings.tracking import host_of
from schemas.settings.tracking import tracking_url as tracking_address
from schemas.text import one_line

app = typer.Typer(no_args_is_help=True, help="The accounts that send and are read: try them.")

_AT_ONCE = 8
_SECONDS = 20.0


@dataclass(frozen=True)
class CheckResult:
    """What came of one check of one account. `todo` is empty when all is well."""

    account: str
    check: str
    said: str
    todo: str = ""

    def line(self) -> str:
        verdict = "wrong" if self.todo else "ok"
        return one_line(
            f"{self.account}  {self.check}  {verdict}  {self.said}" + (f": {self.todo}" if self.todo else "")
        )


@app.command("check")
def senders_check(
    address: Annotated[list[str] | None, typer.Argument(help="Accounts to check, by address. Default: all.")] = None,
    send_mail: Annotated[
        bool, typer.Option("--mail/--no-mail", help="Send mail to ourselves and wait for it, or don't.")
    ] = True,
    wait: Annotated[float, typer.Option(min=1, max=600, help="Seconds that this mail may take.")] = 60.0,
    dns: Annotated[bool, typer.Option("--dns/--no-dns", help="Look at DNS and at tracking domains, or don't.")] = True,
    name_server: Annotated[
        str, typer.Option(metavar="ADDRESS[:PORT]", help="Whom to ask for DNS. Default: whom this machine asks.")
    ] = "",
    tracking_url: Annotated[
        list[str] | None, typer.Option(help="Look at this tracking address too, before a campaign is declared with it.")
    ] = None,
) -> None:
    """Connect and log in to every account's servers, look at DNS and follow tracking domains, send mail to the
    addresses that every email names, and say what to do. Exits 1 if anything is `wrong`, not for a `warn`."""
    with explained():
        from oauth2.renewal import load_senders

        settings = read_settings()
        senders = load_senders(settings)
        if not settings.senders.exists():
            print(f"{settings.senders} is not there: mail leaves through SENDLENS_SMTP_HOST, no mailbox is read")
        chosen = _chosen(senders, address or [])
        wrong = 0
        for finding in check_accounts(senders, chosen, insist=True):
            print(finding.line(), flush=True)
            wrong += bool(finding.todo)
        if dns:
            for told in _records(settings, chosen, name_server, tracking_url or []):
                wrong += _print(told)
        if send_mail and not address:
            from commands.doctor.probe import return_mail

            for told in return_mail(senders, settings.keyring, wait):
                wrong += _print(told)
        if wrong:
            raise typer.Exit(BAD_INPUT)


def _print(told: Diagnosis) -> bool:
    """Print what concerns no account alone; whether it is wrong now."""
    verdict = "wrong" if told.verdict == "fail" else told.verdict
    said = f"everybody  {told.check}  {verdict}  {told.said}{f': {told.todo}' if told.todo else ''}"
    print(one_line(said), flush=True)
    return told.verdict == "fail"


def _records(settings: Settings, accounts: list[Account], name_server: str, urls: list[str]) -> Iterator[Diagnosis]:
    """DNS of the accounts' domains, and whether recipients reach us by their tracking addresses and by these."""
    from commands.doctor.dns_records import mail_records
    from commands.doctor.names import Names, each_answered
    from commands.doctor.tracking_domain import tracking_records, tracking_urls

    try:
        more = list(map(tracking_address, urls))
        names = Names.of_server(*_name_server(name_server)) if name_server else Names()
    except ValueError as error:
        raise Misconfigured(str(error)) from None
    context = tls_context(settings.ca_file)
    yield from mail_records(accounts, names)
    yield from each_answered(
        (host_of(url), tracking_records(url, settings.public_url, settings.keyring, names, context))
        for url in tracking_urls(settings, accounts, more)
    )


def _name_server(text: str) -> tuple[str, int]:
    """Address and port of `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:5353`. Raises ValueError."""
    has_port = text.count(":") == 1 or "]:" in text  # an IPv6 address without brackets has none
    address, port = text.rsplit(":", 1) if has_port else (text, "53")
    try:
        found = str(ipaddress.ip_address(address.strip("[]")))
        number = int(port)
    except ValueError:
        raise ValueError(f"--name-server: want an address like 192.0.2.1 or 192.0.2.1:5353, not {text!r}") from None
    return found, number


def _chosen(senders: Senders, addresses: list[str]) -> list[Account]:
    everyone = [*senders.accounts, *([senders.fallback] if senders.fallback else [])]
    known = {account.address for account in everyone}
    for address in addresses:
        if address.lower() not in known:
            raise Misconfigured(f"there is no account {address}: known are {', '.join(sorted(filter(None, known)))}")
    wanted = {address.lower() for address in addresses} or known
    return [account for account in everyone if account.address in wanted]


def check_accounts(
    senders: Senders, accounts: list[Account] | None = None, *, insist: bool = False
) -> Iterator[CheckResult]:
    """Every account, or these, on its servers. `insist`: an OAuth 2.0 grant that was refused before is asked again."""
    chosen = _chosen(senders, []) if accounts is None else accounts
    for results in asyncio.run(_check_all(senders, chosen, insist)):
        yield from results


async def _check_all(senders: Senders, accounts: list[Account], insist: bool) -> list[list[CheckResult]]:
    """The findings of each account, several accounts at a time."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(account: Account) -> list[CheckResult]:
        async with turn:
            name = account.address or "everybody"
            findings = [CheckResult(name, check, said, todo) for check, said, todo in _limits(account)]
            for grant in await asyncio.to_thread(_grants, senders, account, insist):
                findings.append(CheckResult(name, *grant))
            if account.smtp is not None:
                findings += [CheckResult(name, *found) for found in await _smtp(senders, account.smtp)]
            if account.imap is not None:
                imap = await asyncio.to_thread(lambda login: list(_imap(senders, login)), account.imap)
                findings += [CheckResult(name, *found) for found in imap]
            if account.dkim is not None:
                findings.append(CheckResult(name, *_dkim(account.dkim)))
            return findings

    return await asyncio.gather(*map(one, accounts))


Found = tuple[str, str, str]  # check, what was found, what to do


def _limits(account: Account) -> Iterator[Found]:
    daily, hourly = account.daily_limit, account.hourly_limit
    if daily is None and hourly is None:
        return
    said = f"{daily or 'any number'} a day, {hourly or 'any number'} an hour"
    if daily and hourly and hourly * 24 < daily:
        yield "limits", said, f"{hourly} an hour are {hourly * 24} a day at the most: mend one of the two"
    else:
        yield "limits", said, ""


def _place(login: Login) -> str:
    return f"{login.host}:{login.port}"


def _resolved(login: Login) -> str:
    """What to do when the host's name says nothing; empty when it does."""
    try:
        socket.getaddrinfo(login.host, login.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "no such name: check `host`"
    return ""


def _access(senders: Senders, login: Login, insist: bool) -> Found | None:
    """The state of an OAuth 2.0 grant; None for another login."""
    grant = login.oauth2
    try:
        token = senders.access(login, insist=insist)
    except (Misconfigured, Retry) as error:
        return "oauth2", "no access token", str(error)
    if grant is None or token is None:
        return None
    until = datetime.fromtimestamp(token.expires_at, UTC)
    return "oauth2", f"access token of {grant.refresh_token_env} until {until:%Y-%m-%d %H:%M} UTC", token.trouble


def _grants(senders: Senders, account: Account, insist: bool) -> list[Found]:
    """Each OAuth 2.0 grant of the account once."""
    logins = {login.oauth2: login for login in (account.imap, account.smtp) if login is not None and login.oauth2}
    return [found for login in logins.values() if (found := _access(senders, login, insist)) is not None]


def _secret(senders: Senders, login: Login) -> tuple[Credential | None, str]:
    """What to log in with, or what to do to have it."""
    try:
        return senders.credential(login), ""
    except (Misconfigured, Retry) as error:
        return None, "see oauth2 above" if login.oauth2 else str(error)


def _refused(login: Login) -> str:
    if login.oauth2:
        return (
            f"check that {login.oauth2.refresh_token_env} is of `user` ({login.user}), that its scope has this "
            "protocol, and that the provider lets the mailbox use it"
        )
    return (
        f"check `user` ({login.user}) and what {login.variable} holds; some providers want an app password or OAuth 2.0"
    )


async def _smtp(senders: Senders, login: Smtp) -> list[Found]:
    import aiosmtplib

    todo = await asyncio.to_thread(_resolved, login)
    if todo:
        return [("smtp", _place(login), todo)]
    client = aiosmtplib.SMTP(
        hostname=login.host,
        port=login.port,
        use_tls=login.tls == "tls",
        start_tls=login.tls == "starttls",
        tls_context=login.tls_context() if login.tls != "none" else None,
        timeout=_SECONDS,
    )
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError) as error:
        advice = "; ".join(filter(None, (_line(error), advice_on(error))))
        return [("smtp", _place(login), f"{advice}; check `host`, `port` and `tls` ({login.tls})")]
    found = [("smtp", f"{_place(login)}, tls {login.tls}", "")]
    try:
        credential, todo = await asyncio.to_thread(_secret, senders, login)
        if credential is None:
            found.append(("smtp login", "not tried" if todo else "none wanted", todo))
            return found
        try:
            if credential.kind == "oauth2":
                await client.auth_xoauth2(credential.user, credential.secret)
            else:
                await client.login(credential.user, credential.secret)
            found.append(("smtp login", credential.user, ""))
        except (aiosmtplib.SMTPException, OSError) as error:
            if isinstance(error, aiosmtplib.SMTPAuthenticationError):
                await asyncio.to_thread(credential.refused)
            said = _line(error).replace(credential.secret, "...")
            found.append(("smtp login", said, _refused(login)))
    finally:
        client.close()
    return found


def _imap(senders: Senders, login: Imap) -> Iterator[Found]:
    from ingest.inbox.imap import ImapMailbox, hang_up, log_in, open_line
    from ingest.inbox.mailbox import FolderRefused

    todo = _resolved(login)
    if todo:
        yield "imap", _place(login), todo
        return
    try:
        client = open_line(login)
    except Retry as error:
        yield "imap", str(error), f"check `host`, `port` and `tls` ({login.tls})"
        return
    try:
        yield "imap", f"{_place(login)}, tls {login.tls}", ""
        credential, todo = _secret(senders, login)
        if credential is None:
            yield "imap login", "not tried", todo
            return
        try:
            log_in(client, credential)
        except Retry as error:
            yield "imap login", str(error), _refused(login)
            return
        yield "imap login", credential.user, ""
        mailbox = ImapMailbox(login.user, client)
        yield "imap idle", "new mail is told of at once" if mailbox.tells else "none: the mailbox is polled", ""
        for name in mailbox.names_of(login.folders):
            try:
                mailbox.examine(name)
                yield "imap folder", name, ""
            except FolderRefused as error:
                there = ", ".join(mailbox.all_names())
                yield "imap folder", f"{name}: {error}", f"put into `folders` what is there: {there}"
    except Retry as error:
        yield "imap", str(error), "try again"
    finally:
        hang_up(client)


def _dkim(dkim: Dkim) -> Found:
    """The key's form. What DNS holds is not asked for."""
    name = f"{dkim.selector}._domainkey.{dkim.domain}"
    try:
        pem = dkim.key()
        inner = b"".join(
            line for line in pem.splitlines() if line and not line.startswith(b"-----") and b":" not in line
        )
        base64.b64decode(inner, validate=True)
    except Misconfigured as error:
        return "dkim", name, str(error)
    except binascii.Error:
        return "dkim", name, f"{dkim.key_file} is damaged: make it anew with `openssl genrsa -out FILE 2048`"
    return "dkim", f"{name}, whose TXT record must hold the public key (`sendlens doctor` looks)", ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
