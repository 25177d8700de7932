"""What DNS must have for our mail, asked of a real name server with zones of a test."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import pytest

from commands.doctor.dns_records import mail_records
from schemas.senders import Account, Dkim, Smtp
from tests.support.name_server import NameServer, Zone

GOOD: Zone = {
    ("bounces.garden.internal.", "MX"): ["10 mx.garden.internal."],
    ("bounces.garden.internal.", "TXT"): ['"v=spf1 include:provider.internal -all"'],
    ("_dmarc.garden.internal.", "TXT"): ['"v=DMARC1; p=quarantine"'],
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer(GOOD)
    yield server
    server.close()


def account(dkim: Dkim | None = None, host: str = "smtp.garden.internal") -> Account:
    return Account(
        address="anna@news.garden.internal",
        envelope_domain="bounces.garden.internal",
        smtp=Smtp(host=host),
        dkim=dkim,
    )


def told(
    server: NameServer, dkim: Dkim | None = None, host: str = "smtp.garden.internal"
) -> list[tuple[str, str, str]]:
    found = mail_records([account(dkim, host)], server.names)
    return [(one.verdict, one.said, one.todo) for one in found]


def test_domains_as_they_should_be(server: NameServer) -> None:
    assert [verdict for verdict, _, _ in told(server)] == ["ok"] * 3


@pytest.mark.parametrize(
    ("change", "verdict", "said", "todo"),
    [
        (
            {("bounces.garden.internal.", "MX"): []},
            "fail", "no MX and no address: no bounce comes back", "`bounces.garden.internal. MX 10 SERVER.`",
        ),
        (
            {("bounces.garden.internal.", "MX"): [], ("bounces.garden.internal.", "A"): ["192.0.2.2"]},
            "warn", "no MX: bounces go to its address", "`bounces.garden.internal. MX 10 SERVER.`",
        ),
        (
            {("bounces.garden.internal.", "TXT"): ['"unrelated"']},
            "warn", "bounces.garden.internal has no SPF",
            'add `bounces.garden.internal. TXT "v=spf1 a:smtp.garden.internal ~all"`',
        ),
        (
            {("bounces.garden.internal.", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']},
            "fail", "has 2 SPF records", "make them one",
        ),
        (
            {("_dmarc.garden.internal.", "TXT"): []},
            "warn", "news.garden.internal has no DMARC", 'add `_dmarc.news.garden.internal. TXT "v=DMARC1; p=none"`',
        ),
        (
            {("_dmarc.garden.internal.", "TXT"): ['"v=DMARC1; rua=mailto:a@garden.internal"']},
            "fail", "says no policy", 'make it `_dmarc.garden.internal. TXT "v=DMARC1; p=none"`',
        ),
        (
            {("_dmarc.garden.internal.", "TXT"): ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"']},
            "fail", "has 2 DMARC records", "leave one",
        ),
    ],
)  # fmt: skip
def test_a_record_that_is_missing_or_wrong_is_said_as_what_to_put(
    server: NameServer, change: Zone, verdict: str, said: str, todo: str
) -> None:
    server.zone |= change
    (fault,) = [one for one in told(server) if one[0] != "ok"]
    assert fault[0] == verdict
    assert said in fault[1]
    assert todo in fault[2]


def test_spf_must_lead_to_the_provider_that_mail_leaves_by(server: NameServer) -> None:
    def policy(*texts: str) -> tuple[str, str, str]:
        server.zone["bounces.garden.internal.", "TXT"] = [f'"{text}"' for text in texts]
        (found,) = [one for one in told(server, host="smtp.sendgrid.net") if "SPF" in one[1]]
        return found

    missing = policy("v=spf1 include:provider.internal -all")
    assert missing[0] == "warn"
    assert missing[2] == "put `include:sendgrid.net` behind `v=spf1` of the TXT record at bounces.garden.internal"
    assert policy("v=spf1 include:sendgrid.net -all")[0] == "ok"
    server.zone["all.internal.", "TXT"] = ['"v=spf1 ~include:sendgrid.net -all"']
    assert policy("v=spf1 ip4:192.0.2.1 redirect=all.internal")[0] == "ok", "by way of another policy"
    assert "v=spf1 include:sendgrid.net ~all" in policy("unrelated")[2]


def test_spf_that_asks_too_often_or_in_circles_is_wrong_and_is_not_followed_on(server: NameServer) -> None:
    server.zone["bounces.garden.internal.", "TXT"] = ['"v=spf1 include:n0.internal a mx -all"']
    for number in range(40):
        after = f"include:n{number + 1}.internal include:n{number}.internal include:n0.internal"
        server.zone[f"n{number}.internal.", "TXT"] = [f'"v=spf1 {after} -all"']
    (found,) = [one for one in told(server) if "SPF" in one[1]]
    assert found[0] == "fail"
    assert "asks more than 10 times" in found[1]
    assert len([name for name in server.asked if name.startswith("n")]) <= 11


def test_names_that_documents_use_are_not_asked_for(server: NameServer) -> None:
    anna = Account(address="anna@example.com", envelope_domain="bounces.example.com", smtp=Smtp(host="a.example"))
    (found,) = mail_records([anna], server.names)
    assert (found.verdict, found.todo) == ("warn", "set SENDLENS_ENVELOPE_DOMAIN to one of yours")
    assert server.asked == []


def test_a_name_server_that_says_nothing_is_an_error_and_no_finding(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.silent = True
    monkeypatch.setattr("commands.doctor.dns_records._DNS_SECONDS", 0.3)
    with pytest.raises(dns.exception.Timeout):
        told(server)


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
    assert f'add `s1._domainkey.garden.internal. TXT "v=DKIM1; k={kind}; p={ours}"`' in of_key()[2]
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
