"""What DNS says of the domains that mail is sent by: bounces' way back, SPF, DKIM and DMARC, and what to put there."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ParamSpec

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agents.transport.dkim import signer
from commands.doctor.diagnosis import Diagnosis
from commands.doctor.names import Look, Names, each_answered
from commands.doctor.sender_policy import provider_of, sender_policy
from schemas.errors import Misconfigured
from schemas.senders import Account

# RFC 2606 and RFC 6761: names that nobody has.
_NOBODYS = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local")
_POLICIES = ("none", "quarantine", "reject")
_NONE = '"v=DMARC1; p=none"'

P = ParamSpec("P")


def mail_records(accounts: Iterable[Account], names: Names) -> Iterator[Diagnosis]:
    """What is missing in DNS for the mail of these accounts to be taken and to come back."""
    yield from each_answered(_looks([account for account in accounts if account.smtp is not None], names))


def _looks(sending: Sequence[Account], names: Names) -> Iterator[Look]:
    for domain in dict.fromkeys(account.envelope_domain for account in sending):
        hosts = dict.fromkeys(_host(account) for account in sending if account.envelope_domain == domain)
        yield domain, _envelope(domain, list(hosts), names)
    for domain in dict.fromkeys(account.domain for account in sending if account.domain):
        if not is_nobodys(domain):
            yield domain, _later(_author, domain, names)
    yield from _signatures(sending, names)


def _signatures(sending: Sequence[Account], names: Names) -> Iterator[Look]:
    """The key of each account; of those without one, each domain and server once."""
    unsigned: dict[tuple[str, str], None] = {}
    for account in sending:
        domain = account.dkim.domain if account.dkim else account.domain or account.envelope_domain
        if is_nobodys(domain):
            continue
        if account.dkim is not None:
            yield domain, _later(_signed, account, names)
        else:
            unsigned[account.domain, _host(account)] = None
    for domain, host in unsigned:
        yield (domain or host), _later(_unsigned, domain, host, names) if domain else [_all_unsigned(host)]


def _later(look: Callable[P, Diagnosis], *given: P.args, **more: P.kwargs) -> Iterator[Diagnosis]:
    yield look(*given, **more)


def _envelope(domain: str, hosts: Sequence[str], names: Names) -> Iterator[Diagnosis]:
    if is_nobodys(domain):
        yield Diagnosis("dns", "warn", f"{domain} is an example's name", "set SENDLENS_ENVELOPE_DOMAIN to one of yours")
        return
    yield _way_back(domain, names)
    yield from sender_policy(domain, hosts, names)


def _way_back(domain: str, names: Names) -> Diagnosis:
    """RFC 5321, 5.1: mail to a domain goes to its MX, else to its address."""
    exchangers = [record.split()[-1].rstrip(".") for record in names.get(domain, "MX")]
    if [name for name in exchangers if name]:
        return Diagnosis("dns", "ok", f"bounces to {domain} go to {', '.join(exchangers)}")
    add = f"add `{domain}. MX 10 SERVER.`, with the server that takes its mail"
    if names.addresses(domain):
        return Diagnosis("dns", "warn", f"{domain} has no MX: bounces go to its address", add)
    return Diagnosis("dns", "fail", f"{domain} has no MX and no address: no bounce comes back", add)


def _author(domain: str, names: Names) -> Diagnosis:
    """RFC 7489, 6.6.3: the policy is at the domain, or at the organization's above it. Gmail and Yahoo want one of who
    sends in bulk."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        above = f"_dmarc.{'.'.join(labels[start:])}"
        found = [text for text in names.get(above, "TXT") if text.lower().startswith("v=dmarc1")]
        if len(found) > 1:
            said = f"{above} has {len(found)} DMARC records, which is as good as none"
            return Diagnosis("dns", "fail", said, "leave one")
        if found:
            tags = dict(tag.strip().partition("=")[::2] for tag in found[0].lower().split(";"))
            if tags.get("p", "").strip() in _POLICIES:
                return Diagnosis("dns", "ok", f"DMARC of {domain}: {found[0]}")
            put = f"make it `{above}. TXT {_NONE}`; p is none, quarantine or reject"
            return Diagnosis("dns", "fail", f"DMARC of {domain} says no policy: {found[0]}", put)
    return Diagnosis("dns", "warn", f"{domain} has no DMARC", f"add `_dmarc.{domain}. TXT {_NONE}`")


def _signed(account: Account, names: Names) -> Diagnosis:
    """A mail is signed with the account's key and verified as a recipient does it, with the key that DNS has."""
    if account.dkim is None:
        raise ValueError(f"{account.address} has no [account.dkim]")
    name = f"{account.dkim.selector}._domainkey.{account.dkim.domain}"
    try:
        sign = signer(account)
        ours = _published(account.dkim.key())
    except Misconfigured as error:
        return Diagnosis("dns", "fail", f"DKIM of {account.address}: {error}", "see `sendlens senders check`")
    put = f'`{name}. TXT "{ours}"`, in pieces of 255 characters where your DNS wants them'
    records = names.get(name, "TXT")
    if not records:
        return Diagnosis("dns", "fail", f"no DKIM key at {name}", f"add {put}")
    if len(records) > 1:
        return Diagnosis("dns", "fail", f"{len(records)} DKIM keys at {name}: either may be read", f"leave one, {put}")
    message = f"From: {account.address}\r\nSubject: a trial\r\n\r\nThis tries the key.\r\n".encode()
    if sign is not None and dkim.verify(sign(message), dnsfunc=lambda *_, **__: records[0].encode()):
        return Diagnosis("dns", "ok", f"the DKIM key at {name} is the one we sign with")
    said = f"the DKIM key at {name} is not the one we sign with: every signature fails"
    return Diagnosis("dns", "fail", said, f"make it {put}, or name the key that is published")


def _unsigned(domain: str, host: str, names: Names) -> Diagnosis:
    """No key of the account's: then its server signs, or nobody. By which selector is not known; whether the domain has
    any key is (RFC 6376, 3.6.2.1)."""
    said = f"mail of {domain} through {host} is not signed here (no [account.dkim])"
    if not names.leads_on(f"_domainkey.{domain}"):
        todo = f"add [account.dkim], or let {host} sign by {domain}, and publish the key: DNS has none of {domain}"
        return Diagnosis("dns", "warn", said, todo)
    return Diagnosis("dns", "ok", f"{said}; {host} may sign it: DNS has DKIM keys of {domain}")


def _all_unsigned(host: str) -> Diagnosis:
    """SENDLENS_SMTP_HOST sends for whatever domain; there is no key to sign with."""
    said = f"mail through {host} is not signed here"
    if provider_of(host):
        return Diagnosis("dns", "ok", f"{said}; {host} may sign it")
    return Diagnosis("dns", "warn", said, f"name who sends in senders.toml, with [account.dkim], unless {host} signs")


def _host(account: Account) -> str:
    return account.smtp.host.lower() if account.smtp else ""


def _published(pem: bytes) -> str:
    """What DNS has to hold of a private key (RFC 6376, 3.6.1; of Ed25519 the 32 octets alone, RFC 8463, 4.2).

    Raises Misconfigured.
    """
    try:
        public = load_pem_private_key(pem, password=None).public_key()
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"dkim.key_file is no key that can be read ({error})") from None
    if isinstance(public, Ed25519PublicKey):
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(public.public_bytes_raw()).decode()}"
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def is_nobodys(domain: str) -> bool:
    """Whether a name is one of those that documents use, and that nobody has."""
    return any(domain == name or domain.endswith(f".{name}") for name in _NOBODYS)
