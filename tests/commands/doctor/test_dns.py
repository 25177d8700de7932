"""What DNS must have for our mail, asked of a real name server with zones of a test."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from commands.doctor.mail import Names, dns_of
from schemas.senders import Account, Dkim, Senders, Smtp

GOOD = {
    ("t.garden.internal.", "A"): ["192.0.2.1"],
    ("bounces.garden.internal.", "MX"): ["10 mx.garden.internal."],
    ("bounces.garden.internal.", "TXT"): ['"v=spf1 include:provider.internal -all"'],
    ("_dmarc.garden.internal.", "TXT"): ['"v=DMARC1; p=quarantine"'],
}


class NameServer:
    """Answers from `zone` over UDP on loopback: records by name and type; names without any do not exist."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = dict(GOOD)
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def names(self) -> Names:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self._socket.getsockname()[1]
        return Names(resolver)

    def _serve(self) -> None:
        while True:
            try:
                wire, client = self._socket.recvfrom(4096)
            except OSError:
                return
            if not self.silent:
                self._socket.sendto(self._answer(dns.message.from_wire(wire)).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records))
        elif name not in {known for known, _ in self.zone}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def senders(dkim: Dkim | None = None) -> Senders:
    account = Account(
        address="anna@news.garden.internal",
        envelope_domain="bounces.garden.internal",
        smtp=Smtp(host="smtp.garden.internal"),
        dkim=dkim,
    )
    return Senders((account,), None, dict)


def told(server: NameServer, dkim: Dkim | None = None) -> list[tuple[str, str, str]]:
    found = dns_of(senders(dkim), "https://t.garden.internal", server.names)
    return [(one.verdict, one.said, one.todo) for one in found]


def test_domains_as_they_should_be(server: NameServer) -> None:
    assert [verdict for verdict, _, _ in told(server)] == ["ok"] * 4


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        ({("t.garden.internal.", "A"): []}, "fail", "t.garden.internal, which every link has, has no address"),
        ({("bounces.garden.internal.", "MX"): []}, "fail", "no MX and no address: no bounce comes back"),
        (
            {("bounces.garden.internal.", "MX"): [], ("bounces.garden.internal.", "A"): ["192.0.2.2"]},
            "warn", "no MX: bounces go to its address",
        ),
        ({("bounces.garden.internal.", "TXT"): ['"unrelated"']}, "warn", "bounces.garden.internal has no SPF"),
        ({("bounces.garden.internal.", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']}, "fail", "has 2 SPF records"),
        ({("_dmarc.garden.internal.", "TXT"): []}, "warn", "news.garden.internal has no DMARC"),
    ],
)  # fmt: skip
def test_a_record_that_is_missing_or_wrong(
    server: NameServer, change: dict[tuple[str, str], list[str]], verdict: str, said: str
) -> None:
    server.zone |= change
    (fault,) = [one for one in told(server) if one[0] != "ok"]
    assert fault[0] == verdict
    assert said in fault[1]
    assert fault[2]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_the_published_key_must_be_the_one_we_sign_with(server: NameServer, tmp_path: Path, kind: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make keys with")
    ours, others = make_key(tmp_path / "ours.pem", kind), make_key(tmp_path / "others.pem", kind)
    dkim = Dkim(selector="s1", domain="garden.internal", key_file=str(tmp_path / "ours.pem"))

    def of_key() -> tuple[str, str, str]:
        (found,) = [one for one in told(server, dkim) if "DKIM" in one[1]]
        return found

    assert of_key()[:2] == ("fail", "no DKIM key at s1._domainkey.garden.internal")
    for published, verdict in ((ours, "ok"), (others, "fail")):
        text = f"v=DKIM1; k={kind}; p={published}"
        pieces = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))  # RFC 1035, 3.3: 255 at most
        server.zone["s1._domainkey.garden.internal.", "TXT"] = [pieces]
        assert of_key()[0] == verdict
    assert "every signature fails" in of_key()[1]


def make_key(file: Path, kind: str) -> str:
    """The public key as DNS has it, in base64 (RFC 6376, 3.6.1; of Ed25519 the 32 octets alone, RFC 8463, 4.2)."""
    make = (
        ["genrsa", "-out", str(file), "2048"] if kind == "rsa" else ["genpkey", "-algorithm", kind, "-out", str(file)]
    )
    subprocess.run(["openssl", *make], check=True, capture_output=True, timeout=60)
    der = subprocess.run(
        ["openssl", "pkey", "-in", str(file), "-pubout", "-outform", "DER"], check=True, capture_output=True, timeout=60
    ).stdout
    return base64.b64encode(der if kind == "rsa" else der[-32:]).decode()
