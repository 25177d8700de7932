"""What DNS must have for our mail, asked of a real name server with zones of a test."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from commands.doctor.dns_records import mail_records
from schemas.senders import Account, Dkim, Smtp
from tests.support.name_server import NameServer, Zone

GOOD: Zone = {
    ("bounces.garden.internal.", "MX"): ["10 mx.garden.internal."],
    ("bounces.garden.internal.", "TXT"): ['"v=spf1 include:provider.internal -all"'],
    ("provider.internal.", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 -all"'],
    ("smtp.garden.internal.", "A"): ["192.0.2.9"],
    ("_dmarc.garden.internal.", "TXT"): ['"v=DMARC1; p=quarantine"'],
}
OWN = "smtp.garden.internal"


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer(GOOD)
    yield server
    server.close()


def account(dkim: Dkim | None = None, host: str = OWN) -> Account:
    return Account(
        address="anna@news.garden.internal",
        envelope_domain="bounces.garden.internal",
        smtp=Smtp(host=host),
        dkim=dkim,
    )


def told(server: NameServer, dkim: Dkim | None = None, host: str = OWN) -> list[tuple[str, str, str]]:
    found = mail_records([account(dkim, host)], server.names)
    return [(one.verdict, one.said, one.todo) for one in found]


def about(word: str, server: NameServer, host: str = OWN) -> tuple[str, str, str]:
    (found,) = [one for one in told(server, host=host) if word in one[1]]
    return found


def test_domains_as_they_should_be(server: NameServer) -> None:
    assert [(verdict, said[:3]) for verdict, said, _ in told(server)] == [
        ("ok", "bou"), ("ok", "SPF"), ("ok", "DMA"), ("warn", "mai"),
    ]  # fmt: skip


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
    (fault,) = [one for one in told(server) if one[0] != "ok" and "is not signed" not in one[1]]
    assert fault[0] == verdict
    assert said in fault[1]
    assert todo in fault[2]


def test_spf_must_lead_to_the_provider_that_mail_leaves_by(server: NameServer) -> None:
    def policy(*texts: str) -> tuple[str, str, str]:
        server.zone["bounces.garden.internal.", "TXT"] = [f'"{text}"' for text in texts]
        return about("SPF", server, "smtp.sendgrid.net")

    missing = policy("v=spf1 include:provider.internal -all")
    assert missing[0] == "warn"
    assert missing[2] == "put `include:sendgrid.net` behind `v=spf1` of the TXT record at bounces.garden.internal"
    assert policy("v=spf1 include:sendgrid.net -all")[0] == "ok"
    server.zone["all.internal.", "TXT"] = ['"v=spf1 +include:sendgrid.net -all"']
    assert policy("v=spf1 ip4:192.0.2.1 redirect=all.internal")[0] == "ok", "by way of another policy"
    assert policy("v=spf1 ?include:all.internal ~all")[0] == "warn", "whom it lets pass is neutral here"
    assert policy("v=spf1 ip4:192.0.2.1 -include:sendgrid.net ~all")[0] == "warn"
    assert policy("v=spf1 ip4:192.0.2.1 ~all include:sendgrid.net")[0] == "warn", "nobody reads on behind all"
    assert "v=spf1 include:sendgrid.net ~all" in policy("unrelated")[2]


NAMES: Zone = {
    ("bounces.garden.internal.", "A"): ["192.0.2.9"],
    ("bounces.garden.internal.", "MX"): ["10 mx.garden.internal.", "20 ."],
    ("mx.garden.internal.", "A"): ["192.0.2.25"],
    ("others.internal.", "TXT"): ['"v=spf1 ip4:198.51.100.0/24 -all"'],
    ("ours.internal.", "TXT"): ['"v=spf1 ip6:2001:db8::/32 ip4:192.0.2.9 ~all"'],
    ("two.internal.", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"'],
    ("wrong.internal.", "TXT"): ['"v=spf1 ipv4:192.0.2.9 -all"'],
    ("there.internal.", "A"): ["127.0.0.2"],
}


@pytest.mark.parametrize(
    ("policy", "verdict", "said"),
    [
        ("v=spf1 ip4:192.0.2.9 -all", "ok", "lets smtp.garden.internal send (192.0.2.9)"),
        ("v=spf1 IP4:192.0.2.0/28 -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 ip4:192.0.2.16/28 ~all", "warn", "192.0.2.9 of smtp.garden.internal send (softfail, by `~all`)"),
        ("v=spf1 ip4:192.0.2.16/28", "warn", "send (neutral: no term fits)"),
        ("v=spf1 ip4:192.0.2.16/28 -ip4:192.0.2.9 +all", "warn", "send (fail, by `-ip4:192.0.2.9`)"),
        ("v=spf1 +all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 a -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 a:smtp.garden.internal -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 mx -all", "warn", "send (fail, by `-all`)"),
        ("v=spf1 mx/24 -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 a:mx.garden.internal/30//64 -all", "warn", "send (fail, by `-all`)"),
        ("v=spf1 include:ours.internal -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 include:others.internal ~all", "warn", "send (softfail, by `~all`)"),
        ("v=spf1 redirect=ours.internal", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 redirect=ours.internal ip4:198.51.100.1 ~all", "warn", "send (softfail, by `~all`)"),
        ("v=spf1 exists:there.internal -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 exp=why.internal some.thing=else ip4:192.0.2.9 -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 -all", "fail", "lets nobody send by it: v=spf1 -all"),
        ("v=spf1 -all ip4:192.0.2.9", "fail", "lets nobody send by it"),
        ("v=spf1 exists:%{i}._spf.%{d} -all", "ok", "can't be known here, for `exists:%{i}._spf.%{d}`"),
        ("v=spf1 ptr -all", "ok", "can't be known here, for `ptr`"),
        ("v=spf1 ptr ip4:192.0.2.9 -all", "ok", "lets smtp.garden.internal send"),
        ("v=spf1 -exists:%{l/}.internal ip4:192.0.2.9 -all", "ok", "can't be known here"),
        ("v=spf1 redirect=%{d}.internal", "ok", "can't be known here"),
        ("v=spf1 include:nowhere.internal ip4:192.0.2.9", "fail", "`include:nowhere.internal` leads to no SPF record"),
        ("v=spf1 include:two.internal ip4:192.0.2.9", "fail", "`include:two.internal` leads to 2 SPF records"),
        ("v=spf1 include:wrong.internal ip4:192.0.2.9", "fail", "`ipv4:192.0.2.9` is no term of SPF"),
        ("v=spf1 ip4:192.0.2.9 -all ip4:nonsense", "fail", "`ip4:nonsense` has no network"),
        ("v=spf1 ip6:192.0.2.9 -all", "fail", "`ip6:192.0.2.9` has no network of that kind"),
        ("v=spf1 a/33 -all", "fail", "`a/33` has a prefix that is too long"),
        ("v=spf1 include -all", "fail", "`include` names no domain"),
        ("v=spf1 include:a..b -all", "fail", "`include:a..b` names no domain"),
        ("v=spf1 all:x", "fail", "`all:x` has no such form"),
        ("v=spf1 a:n1.internal a:n2.internal a:n3.internal ip4:192.0.2.9", "fail", "no record, as n3.internal"),
    ],
)  # fmt: skip
def test_spf_is_evaluated_for_the_addresses_of_ones_own_server(
    server: NameServer, policy: str, verdict: str, said: str
) -> None:
    """As RFC 7208 has it: terms in their order, the first that fits decides."""
    server.zone |= NAMES | {("bounces.garden.internal.", "TXT"): [f'"{policy}"']}
    found = about("SPF", server)
    assert (found[0], said in found[1]) == (verdict, True), found
    if verdict == "warn":
        assert "put `a:smtp.garden.internal` behind `v=spf1`" in found[2]
        assert "by which smtp.garden.internal may pass mail on" in found[2]


def test_each_address_of_each_server_has_to_pass(server: NameServer) -> None:
    server.zone["smtp.garden.internal.", "AAAA"] = ["2001:db8:1::9"]
    assert "does not let 2001:db8:1::9 of smtp.garden.internal send" in about("SPF", server)[1]
    server.zone["provider.internal.", "TXT"] = ['"v=spf1 a:smtp.garden.internal -all"']
    assert "lets smtp.garden.internal send (192.0.2.9, 2001:db8:1::9)" in about("SPF", server)[1]
    both = mail_records([account(), account(host="198.51.100.1")], server.names)
    assert [one.verdict for one in both if "SPF" in one.said] == ["ok", "warn"]


@pytest.mark.parametrize("host", ["localhost", "postfix", "127.0.0.1", "10.1.2.3", "::1", "nowhere.internal"])
def test_of_a_server_without_a_public_address_it_is_said_that_spf_cannot_be_known(
    server: NameServer, host: str
) -> None:
    verdict, said, _ = about("SPF", server, host)
    assert (verdict, f"whether it lets {host} send can't be known here" in said) == ("ok", True)
    server.zone["bounces.garden.internal.", "TXT"] = ['"v=spf1 -all"']
    assert about("SPF", server, host)[0] == "fail", "nobody passes"


def test_spf_that_asks_too_often_or_in_circles_is_wrong_and_is_not_followed_on(server: NameServer) -> None:
    server.zone["bounces.garden.internal.", "TXT"] = ['"v=spf1 include:n0.internal a mx -all"']
    for number in range(40):
        after = f"include:n{number + 1}.internal include:n{number}.internal include:n0.internal"
        server.zone[f"n{number}.internal.", "TXT"] = [f'"v=spf1 {after} -all"']
    found = about("SPF", server)
    assert found[0] == "fail"
    assert "asks more than 10 times" in found[1]
    assert len([name for name in server.asked if name.startswith("n")]) <= 11


def test_a_policy_that_includes_itself_is_an_error(server: NameServer) -> None:
    server.zone["bounces.garden.internal.", "TXT"] = ['"v=spf1 include:bounces.garden.internal -all"']
    found = about("SPF", server)
    assert (found[0], "asks more than 10 times" in found[1]) == ("fail", True)
    assert len(server.asked) < 40


def test_names_that_documents_use_are_not_asked_for(server: NameServer) -> None:
    anna = Account(address="anna@example.com", envelope_domain="bounces.example.com", smtp=Smtp(host="a.example"))
    (found,) = mail_records([anna], server.names)
    assert (found.verdict, found.todo) == ("warn", "set SENDLENS_ENVELOPE_DOMAIN to one of yours")
    assert server.asked == []


def test_a_name_without_an_answer_is_said_and_the_others_are_looked_at(server: NameServer) -> None:
    server.failing = ["first.internal."]
    first = msgspec.structs.replace(account(), envelope_domain="first.internal", address="anna@first.internal")
    found = list(mail_records([first, account()], server.names))
    silent = [one for one in found if "no answer" in one.said]
    assert {one.verdict for one in silent} == {"warn"}
    assert all("no answer for first.internal: " in one.said and "SERVFAIL" in one.said for one in silent)
    assert [one.said[:5] for one in found if one.verdict == "ok"] == ["bounc", "SPF o", "DMARC"]


def test_a_policy_that_leads_to_a_name_without_an_answer_is_of_no_other_domain(server: NameServer) -> None:
    server.failing = ["provider.internal."]
    (silent,) = [one for one in told(server) if "no answer" in one[1]]
    assert silent[0] == "warn"
    assert "for bounces.garden.internal" in silent[1]
    assert about("DMARC", server)[0] == "ok"


def test_a_name_server_that_says_nothing_is_not_waited_for_again_and_again(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.silent = True
    monkeypatch.setattr("commands.doctor.names._DNS_SECONDS", 0.3)
    many = [msgspec.structs.replace(account(), envelope_domain=f"b{number}.internal") for number in range(40)]
    found = list(mail_records(many, server.names))
    assert [one.verdict for one in found] == ["warn"] * 4
    assert found[3].said == "DNS gave no answer 3 times in a row: no other name is asked for"


@pytest.mark.parametrize(
    ("host", "key", "verdict", "todo"),
    [
        (OWN, False, "warn", "DNS has none of news.garden.internal"),
        (OWN, True, "ok", ""),
        ("smtp.sendgrid.net", False, "warn", "let smtp.sendgrid.net sign by news.garden.internal"),
        ("smtp.sendgrid.net", True, "ok", ""),
    ],
)
def test_an_account_without_a_key_signs_nothing_and_its_server_may(
    server: NameServer, host: str, key: bool, verdict: str, todo: str
) -> None:
    if key:
        server.zone["s1._domainkey.news.garden.internal.", "CNAME"] = ["s1.keys.internal."]
    found = about("is not signed here", server, host)
    assert (found[0], todo in found[2]) == (verdict, True), found
    assert (f"{host} may sign it" in found[1]) == (verdict == "ok")


def test_without_accounts_it_is_said_once_that_nothing_is_signed(server: NameServer) -> None:
    everybody = Account(address="", envelope_domain="bounces.garden.internal", smtp=Smtp(host=OWN))
    found = [one for one in mail_records([everybody], server.names) if "signed" in one.said]
    assert [(one.verdict, one.said) for one in found] == [("warn", f"mail through {OWN} is not signed here")]


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
