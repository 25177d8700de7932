"""What DNS says of the domains that mail is sent by: bounces' way back, SPF, DKIM and DMARC, and what to put there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

import dkim
import dns.exception
import dns.resolver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agents.transport.dkim import signer
from commands.doctor.diagnosis import Diagnosis
from schemas.errors import Misconfigured
from schemas.senders import Account

_DNS_SECONDS = 5.0
# RFC 2606 and RFC 6761: names that nobody has.
_NOBODYS = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost", "local")
# RFC 7208, 4.6.4: terms beyond the tenth that need a question make the whole policy an error.
_MOST_LOOKUPS = 10
_ASKING = ("include:", "redirect=", "a", "mx", "ptr", "exists:")
# By whose servers mail leaves, and what their SPF is called, as their own pages on setting up a domain have it.
_SPF_OF = {
    "google.com": "_spf.google.com",
    "gmail.com": "_spf.google.com",
    "outlook.com": "spf.protection.outlook.com",
    "office365.com": "spf.protection.outlook.com",
    "amazonaws.com": "amazonses.com",
    "sendgrid.net": "sendgrid.net",
    "mailgun.org": "mailgun.org",
    "postmarkapp.com": "spf.mtasv.net",
    "brevo.com": "spf.brevo.com",
}
_POLICIES = ("none", "quarantine", "reject")
_NONE = '"v=DMARC1; p=none"'


class Names:
    """What DNS answers. `resolver` is this machine's unless another is given."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None) -> None:
        self._resolver = resolver or dns.resolver.Resolver()
        self._resolver.lifetime = _DNS_SECONDS

    @classmethod
    def of_server(cls, address: str, port: int) -> Names:
        """What one name server answers."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [address], port
        return cls(resolver)

    def get(self, name: str, kind: str) -> list[str]:
        """The records of a name, each text in one piece. Raises DNSException without an answer."""
        try:
            answer = self._resolver.resolve(name, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]

    def addresses(self, name: str) -> list[str]:
        """The name's addresses, those of IPv4 first, at the end of its CNAMEs."""
        return self.get(name, "A") + self.get(name, "AAAA")

    def canonical(self, name: str) -> str:
        """What the name's CNAME says; empty without one."""
        found = self.get(name, "CNAME")
        return found[0].rstrip(".").lower() if found else ""


def mail_records(accounts: Iterable[Account], names: Names) -> Iterator[Diagnosis]:
    """What is missing in DNS for the mail of these accounts to be taken and to come back. Raises DNSException without
    an answer."""
    sending = [account for account in accounts if account.smtp is not None]
    by_envelope = {account.envelope_domain: account for account in reversed(sending)}
    for domain in dict.fromkeys(account.envelope_domain for account in sending):
        if is_nobodys(domain):
            yield Diagnosis(
                "dns", "warn", f"{domain} is an example's name", "set SENDLENS_ENVELOPE_DOMAIN to one of yours"
            )
        else:
            yield _way_back(domain, names)
            yield _policy(domain, by_envelope[domain], names)
    for domain in dict.fromkeys(account.domain for account in sending if account.domain):
        if not is_nobodys(domain):
            yield _author(domain, names)
    for account in sending:
        if account.dkim is not None and not is_nobodys(account.dkim.domain):
            yield _signed(account, names)


def _way_back(domain: str, names: Names) -> Diagnosis:
    """RFC 5321, 5.1: mail to a domain goes to its MX, else to its address."""
    exchangers = [record.split()[-1].rstrip(".") for record in names.get(domain, "MX")]
    if [name for name in exchangers if name]:
        return Diagnosis("dns", "ok", f"bounces to {domain} go to {', '.join(exchangers)}")
    add = f"add `{domain}. MX 10 SERVER.`, with the server that takes its mail"
    if names.addresses(domain):
        return Diagnosis("dns", "warn", f"{domain} has no MX: bounces go to its address", add)
    return Diagnosis("dns", "fail", f"{domain} has no MX and no address: no bounce comes back", add)


def _policy(domain: str, account: Account, names: Names) -> Diagnosis:
    """RFC 7208, 2.4: whose servers may send by the domain of the return path."""
    wanted = _mechanism(account)
    policies = [text for text in names.get(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]
    if not policies:
        put = f'add `{domain}. TXT "v=spf1 {wanted} ~all"`'
        return Diagnosis("dns", "warn", f"{domain} has no SPF", put)
    if len(policies) > 1:
        said = f"{domain} has {len(policies)} SPF records, which is as good as none"
        return Diagnosis("dns", "fail", said, "make them one: `v=spf1`, the terms of each, and one `all` at the end")
    included, lookups = _included(policies[0], names)
    if lookups > _MOST_LOOKUPS:
        said = f"SPF of {domain} asks more than {_MOST_LOOKUPS} times, which is an error to who reads it"
        return Diagnosis("dns", "fail", said, "take out terms (`include`, `a`, `mx`) of services that you left")
    if wanted.startswith("include:") and wanted.removeprefix("include:") not in included:
        put = f"put `{wanted}` behind `v=spf1` of the TXT record at {domain}"
        return Diagnosis("dns", "warn", f"SPF of {domain} does not name {_host(account)}: {policies[0]}", put)
    return Diagnosis("dns", "ok", f"SPF of {domain}: {policies[0]}")


def _mechanism(account: Account) -> str:
    """What names the account's server in SPF: its provider's own policy, or the server's address."""
    host = _host(account)
    found = [policy for domain, policy in _SPF_OF.items() if host == domain or host.endswith(f".{domain}")]
    return f"include:{found[0]}" if found else f"a:{host}"


def _host(account: Account) -> str:
    return account.smtp.host.lower() if account.smtp else ""


def _included(policy: str, names: Names) -> tuple[set[str], int]:
    """Every policy that this one leads to, and how many questions that takes; no more are asked than may be."""
    found: set[str] = set()
    waiting, lookups = [policy], 0
    while waiting and lookups <= _MOST_LOOKUPS:
        for term in waiting.pop().lower().split()[1:]:
            bare = term.lstrip("+-~?")
            if bare.partition(":")[0].partition("/")[0] in _ASKING or bare.startswith(_ASKING[:2]):
                lookups += 1
            domain = bare.removeprefix("include:").removeprefix("redirect=")
            if domain != bare and domain not in found and lookups <= _MOST_LOOKUPS:
                found.add(domain)
                waiting += [text for text in names.get(domain, "TXT") if text.lower().startswith("v=spf1")]
    return found, lookups


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


def no_answer(error: Exception) -> Diagnosis:
    """DNS itself can't be asked."""
    said = f"DNS gives no answer: {error or type(error).__name__}"
    return Diagnosis("dns", "warn", said, "see /etc/resolv.conf, and that this machine may ask")
