"""A name server with zones of a test: UDP on loopback."""

from __future__ import annotations

import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from commands.doctor.names import Names

Zone = dict[tuple[str, str], list[str]]


class NameServer:
    """Answers from `zone`: records by name and type, the target's behind a CNAME; names without any do not exist, unless
    there is one below (RFC 8020).

    `asked` has the names of the questions. Those that end in one of `failing` are answered SERVFAIL.
    """

    def __init__(self, zone: Zone) -> None:
        self.zone: Zone = dict(zone)
        self.silent = False
        self.failing: list[str] = []
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def names(self) -> Names:
        return Names.of_server("127.0.0.1", self.port)

    def _serve(self) -> None:
        while True:
            wire, client = self._socket.recvfrom(4096)
            if not wire:
                return
            if not self.silent:
                self._socket.sendto(self._answer(dns.message.from_wire(wire)).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(name)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name.endswith(tuple(self.failing)):
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        known = {there for there, _ in self.zone}
        if not any(there == name or there.endswith(f".{name}") for there in known):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        while kind != "CNAME" and (alias := self.zone.get((name, "CNAME"))):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
            (name,) = alias
        if records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records))
        return answer

    def close(self) -> None:
        """End it: what wakes its thread is an empty datagram."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(timeout=10)
        self._socket.close()
