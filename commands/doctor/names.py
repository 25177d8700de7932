"""What DNS answers, and what is said of a name that it does not answer for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import dns.exception
import dns.resolver

from commands.doctor.diagnosis import Diagnosis
from schemas.text import one_line

_DNS_SECONDS = 5.0
_MOST_SILENT = 3  # looks in a row that end in a time-out

# The name that is looked at, and what is found there; nothing is asked before the first is taken.
Look = tuple[str, Iterable[Diagnosis]]


class Names:
    """What DNS answers. `resolver` is this machine's unless another is given."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None) -> None:
        self._given = resolver

    @classmethod
    def of_server(cls, address: str, port: int) -> Names:
        """What one name server answers."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [address], port
        return cls(resolver)

    @cached_property
    def _resolver(self) -> dns.resolver.Resolver:
        """Raises DNSException on a machine without a name server."""
        resolver = self._given or dns.resolver.Resolver()
        resolver.lifetime = _DNS_SECONDS
        return resolver

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

    def leads_on(self, name: str) -> bool:
        """Whether there is such a name, or one below it (RFC 8020). Raises DNSException without an answer."""
        try:
            self._resolver.resolve(name, "TXT")
        except dns.resolver.NXDOMAIN:
            return False
        except dns.resolver.NoAnswer:
            return True
        return True

    def canonical(self, name: str) -> str:
        """What the name's CNAME says; empty without one."""
        found = self.get(name, "CNAME")
        return found[0].rstrip(".").lower() if found else ""


def each_answered(looks: Iterable[Look]) -> Iterator[Diagnosis]:
    """What each look finds, in their order. A name that DNS gives no answer for is a finding and ends its look alone;
    several in a row without one are the name server's fault, and the last."""
    silent = 0
    for name, look in looks:
        try:
            yield from look
            silent = 0
        except (dns.exception.DNSException, OSError) as error:
            said = f"DNS gives no answer for {name}: {one_line(str(error))[:300] or type(error).__name__}"
            yield Diagnosis("dns", "warn", said, "see /etc/resolv.conf, and that the name's own servers answer")
            silent = silent + 1 if isinstance(error, dns.exception.Timeout) else 0
        if silent == _MOST_SILENT:
            said = f"DNS gave no answer {silent} times in a row: no other name is asked for"
            yield Diagnosis("dns", "warn", said, "see /etc/resolv.conf, and that this machine may ask")
            return
