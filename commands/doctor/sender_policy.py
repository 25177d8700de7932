"""Does SPF of a return path let the servers send that mail leaves by? And what to put into DNS where it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address, ip_network

from commands.doctor import spf
from commands.doctor.diagnosis import Diagnosis
from commands.doctor.names import Names

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
# Of who would be meant by the addresses of a server that others can't see.
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
_MOST_ADDRESSES = 10


def sender_policy(domain: str, hosts: Sequence[str], names: Names) -> Iterator[Diagnosis]:
    """RFC 7208, 2.4: whose servers may send by the domain of the return path."""
    wanted = " ".join(dict.fromkeys(map(_mechanism, hosts)))
    found = spf.policies(domain, names.get)
    if not found:
        yield Diagnosis("dns", "warn", f"{domain} has no SPF", f'add `{domain}. TXT "v=spf1 {wanted} ~all"`')
        return
    if len(found) > 1:
        said = f"{domain} has {len(found)} SPF records, which is as good as none"
        yield Diagnosis("dns", "fail", said, "make them one: `v=spf1`, the terms of each, and one `all` at the end")
        return
    policy = found[0]
    try:
        passing, lookups = spf.reached(policy, names.get)
        if lookups > spf.MOST_LOOKUPS:
            said = f"SPF of {domain} asks more than {spf.MOST_LOOKUPS} times, which is an error to who reads it"
            yield Diagnosis("dns", "fail", said, "take out terms (`include`, `a`, `mx`) of services that you left")
        elif spf.lets_nobody(policy):
            put = f'make it `{domain}. TXT "v=spf1 {wanted} ~all"`'
            yield Diagnosis("dns", "fail", f"SPF of {domain} lets nobody send by it: {policy}", put)
        else:
            yield from dict.fromkeys(_lets(host, domain, policy, passing, names) for host in hosts)
    except spf.PolicyError as error:
        yield Diagnosis("dns", "fail", f"SPF of {domain} is an error to who reads it: {error}", f"mend it: {policy}")


def _lets(host: str, domain: str, policy: str, passing: Collection[str], names: Names) -> Diagnosis:
    """Whether mail that leaves through a server passes; a server of one's own may pass it on to others, by which it is
    then judged. Raises PolicyError."""
    put = f"put `{_mechanism(host)}` behind `v=spf1` of the TXT record at {domain}"
    if provider := provider_of(host):
        if provider in passing:
            return Diagnosis("dns", "ok", f"SPF of {domain}: {policy}")
        return Diagnosis("dns", "warn", f"SPF of {domain} does not name {host}: {policy}", put)
    addresses = _seen_addresses(host, names)
    if not addresses:
        said = f"SPF of {domain}: {policy}; whether it lets {host} send can't be known here: it has no public address"
        return Diagnosis("dns", "ok", said)
    answers = {address: spf.evaluate(address, domain, policy, names.get) for address in addresses}
    for address, answer in answers.items():
        if answer.result not in ("pass", "unknown"):
            by = f"{answer.result}, by `{answer.term}`" if answer.term else f"{answer.result}: no term fits"
            said = f"SPF of {domain} does not let {address} of {host} send ({by}): {policy}"
            return Diagnosis("dns", "warn", said, f"{put}, or name the server by which {host} may pass mail on")
    for address, answer in answers.items():
        if answer.result == "unknown":
            whether = f"whether it lets {address} of {host} send can't be known here, for `{answer.term}`"
            return Diagnosis("dns", "ok", f"SPF of {domain}: {policy}; {whether}")
    return Diagnosis("dns", "ok", f"SPF of {domain} lets {host} send ({', '.join(map(str, addresses))}): {policy}")


def provider_of(host: str) -> str:
    """The SPF of the provider whose server it is; empty for another's."""
    found = [policy for domain, policy in _SPF_OF.items() if host == domain or host.endswith(f".{domain}")]
    return found[0] if found else ""


def _mechanism(host: str) -> str:
    """What names a server in SPF: its provider's own policy, or the server's address."""
    if provider := provider_of(host):
        return f"include:{provider}"
    address = _literal(host)
    if (address is None and "." not in host) or (address is not None and not _is_seen(address)):
        return "ip4:ADDRESS"  # which others see of it
    return f"a:{host}" if address is None else f"ip{address.version}:{address}"


def _literal(host: str) -> spf.IpAddress | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_seen(address: spf.IpAddress) -> bool:
    """Whether mail may reach others from this address."""
    return not (address.is_loopback or address.is_link_local or any(address in network for network in _PRIVATE))


def _seen_addresses(host: str, names: Names) -> list[spf.IpAddress]:
    """A server's addresses that others see; none for a name of this machine or of its network alone."""
    literal = _literal(host)
    if literal is not None:
        found = [literal]
    else:
        found = [ip_address(one) for one in names.addresses(host)] if "." in host else []
    return [address for address in found if _is_seen(address)][:_MOST_ADDRESSES]
