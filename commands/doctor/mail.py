"""Does mail find its way? DNS of every account's domains, its servers, and the addresses that every email names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

import dkim
import dns.exception
import dns.resolver

from agents.transport.dkim import signer
from commands.doctor.diagnosis import Diagnosis, Examination
from commands.doctor.probe import return_mail as probe
from oauth2.renewal import load_senders
from schemas.errors import Misconfigured
from schemas.senders import Account, Senders, load
from schemas.settings import is_loopback

_DNS_SECONDS = 5.0
# RFC 2606 and RFC 6761: names that nobody has.
_NOBODYS = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local")


class Names:
    """What DNS answers. `resolver` is this machine's unless another is given."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None) -> None:
        self._resolver = resolver or dns.resolver.Resolver()
        self._resolver.lifetime = _DNS_SECONDS

    def get(self, name: str, kind: str) -> list[str]:
        """The records of a name, each text in one piece. Raises DNSException without an answer."""
        try:
            answer = self._resolver.resolve(name, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]


def dns_of(senders: Senders, public_url: str, names: Names) -> Iterator[Diagnosis]:
    """What is missing in DNS for mail to be taken and to come back. Raises DNSException without an answer."""
    yield from _public(urlsplit(public_url).hostname or "", names)
    sending = [one for one in (senders.fallback, *senders.accounts) if one is not None and one.smtp is not None]
    for domain in dict.fromkeys(account.envelope_domain for account in sending):
        if _is_nobodys(domain):
            yield Diagnosis(
                "dns", "warn", f"{domain} is an example's name", "set SENDLENS_ENVELOPE_DOMAIN to one of yours"
            )
        else:
            yield from _envelope(domain, names)
    for domain in dict.fromkeys(account.domain for account in sending if account.domain):
        yield from _author(domain, names)
    for account in sending:
        if account.dkim is not None:
            yield _signed(account, names)


def _public(host: str, names: Names) -> Iterator[Diagnosis]:
    if _is_address(host) or is_loopback(host):
        return
    found = names.get(host, "A") or names.get(host, "AAAA")
    if found:
        yield Diagnosis("dns", "ok", f"{host}, which every link has, leads to {', '.join(found)}")
    else:
        todo = "give it an A or AAAA record"
        yield Diagnosis("dns", "fail", f"{host}, which every link has, has no address", todo)


def _envelope(domain: str, names: Names) -> Iterator[Diagnosis]:
    """RFC 5321, 5.1: mail to a domain goes to its MX, else to its address. RFC 7208, 2.4: its SPF is asked."""
    exchangers = [record.split()[-1].rstrip(".") for record in names.get(domain, "MX")]
    if [name for name in exchangers if name]:
        yield Diagnosis("dns", "ok", f"bounces to {domain} go to {', '.join(exchangers)}")
    elif names.get(domain, "A") or names.get(domain, "AAAA"):
        yield Diagnosis(
            "dns", "warn", f"{domain} has no MX: bounces go to its address", "add an MX to the server that takes them"
        )
    else:
        yield Diagnosis("dns", "fail", f"{domain} has no MX and no address: no bounce comes back", "add an MX record")
    policies = [text for text in names.get(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]
    if len(policies) == 1:
        yield Diagnosis("dns", "ok", f"SPF of {domain}: {policies[0]}")
    elif policies:
        yield Diagnosis(
            "dns", "fail", f"{domain} has {len(policies)} SPF records, which is as good as none", "leave one"
        )
    else:
        yield Diagnosis(
            "dns", "warn", f"{domain} has no SPF", f'add a TXT record "v=spf1 include:YOUR-PROVIDER -all" at {domain}'
        )


def _author(domain: str, names: Names) -> Iterator[Diagnosis]:
    """RFC 7489, 6.6.3: the policy is at the domain, or at the organization's above it. Gmail and Yahoo want one of who
    sends in bulk."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        above = ".".join(labels[start:])
        found = [text for text in names.get(f"_dmarc.{above}", "TXT") if text.lower().startswith("v=dmarc1")]
        if found:
            yield Diagnosis("dns", "ok", f"DMARC of {domain}: {found[0]}")
            return
    yield Diagnosis("dns", "warn", f"{domain} has no DMARC", f'add a TXT record "v=DMARC1; p=none" at _dmarc.{domain}')


def _signed(account: Account, names: Names) -> Diagnosis:
    """A mail is signed with the account's key and verified as a recipient does it, with the key that DNS has."""
    if account.dkim is None:
        raise ValueError(f"{account.address} has no [account.dkim]")
    name = f"{account.dkim.selector}._domainkey.{account.dkim.domain}"
    records = names.get(name, "TXT")
    if not records:
        return Diagnosis(
            "dns", "fail", f"no DKIM key at {name}", "add the TXT record with the public key of dkim.key_file"
        )
    try:
        sign = signer(account)
    except Misconfigured as error:
        return Diagnosis("dns", "fail", f"DKIM of {account.address}: {error}", "see `sendlens senders check`")
    message = f"From: {account.address}\r\nSubject: a trial\r\n\r\nThis tries the key.\r\n".encode()
    good = sign is not None and dkim.verify(sign(message), dnsfunc=lambda *_, **__: records[0].encode())
    if good:
        return Diagnosis("dns", "ok", f"the DKIM key at {name} is the one we sign with")
    todo = "publish the public key of dkim.key_file there, or name the key that is published"
    return Diagnosis("dns", "fail", f"the DKIM key at {name} is not the one we sign with: every signature fails", todo)


def names(given: Examination) -> Iterator[Diagnosis]:
    """What the world is told of our domains."""
    try:
        yield from dns_of(load(given.settings), given.settings.public_url, Names())
    except (dns.exception.DNSException, OSError) as error:
        said = f"DNS gives no answer: {error or type(error).__name__}"
        yield Diagnosis("dns", "warn", said, "see /etc/resolv.conf, and that this machine may ask")


def accounts(given: Examination) -> Iterator[Diagnosis]:
    """Every account on its servers, as `sendlens senders check` has it."""
    from commands.check_senders import check_accounts

    for result in check_accounts(load_senders(given.settings)):
        said = f"{result.account} {result.check}: {result.said}"
        yield Diagnosis("accounts", "fail" if result.todo else "ok", said, result.todo)


def return_mail(given: Examination) -> Iterator[Diagnosis]:
    """Whether what every email names leads back to us."""
    if given.mail_seconds <= 0:
        yield Diagnosis("return mail", "ok", "not tried (--no-mail)")
        return
    yield from probe(load_senders(given.settings), given.settings.keyring, given.mail_seconds)


def _is_nobodys(domain: str) -> bool:
    return any(domain == name or domain.endswith(f".{name}") for name in _NOBODYS)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
