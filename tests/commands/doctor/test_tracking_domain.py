"""Following a tracking domain as a recipient does: a real name server, TLS by the tests' own authority, a real ingest."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from commands.doctor.tracking_domain import tracking_records
from ingest.hits.hits import PIXEL
from schemas.certificates import tls_context
from schemas.settings import Settings
from schemas.tokens import Keyring
from tests.ingest.conftest import settings_in
from tests.ingest.served_process import served as ingest_served
from tests.support.authority import Authority, tls_in_front
from tests.support.broker import Broker, create_topics, drop_topics
from tests.support.name_server import NameServer, Zone
from tests.support.processes import free_port
from tests.support.served import served

SHOP, PUBLIC, UNKNOWN = "t.shop.internal", "t.garden.internal", "t.unknown.internal"
HOSTS = (SHOP, PUBLIC, UNKNOWN)
ZONE: Zone = {
    (f"{PUBLIC}.", "A"): ["127.0.0.1"],
    (f"{SHOP}.", "CNAME"): [f"{PUBLIC}."],
    (f"{UNKNOWN}.", "CNAME"): [f"{PUBLIC}."],
}
Findings = list[tuple[str, str, str]]


@dataclass
class World:
    """An ingest, TLS in front of it, and the name server that leads there."""

    settings: Settings
    ingest: int
    authority: Authority
    dns: NameServer

    def context(self) -> ssl.SSLContext:
        return tls_context(str(self.authority.file))

    def told(
        self, host: str, port: int, keyring: Keyring | None = None, context: ssl.SSLContext | None = None
    ) -> Findings:
        found = tracking_records(
            f"https://{host}:{port}",
            f"https://{PUBLIC}:{port}",
            keyring or self.settings.keyring,
            self.dns.names,
            context or self.context(),
        )
        return [(one.verdict, one.said, one.todo) for one in found]


@pytest.fixture(scope="module")
def world(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    settings = settings_in(folder, broker.bootstrap, public_url=f"https://{PUBLIC}", tracking_hosts=SHOP)
    create_topics(settings)
    dns = NameServer(ZONE)
    (folder / "authority").mkdir()
    with ingest_served(settings) as (url, _):
        yield World(settings, int(url.rpartition(":")[2]), Authority(folder / "authority"), dns)
    dns.close()
    drop_topics(settings)


@pytest.fixture
def zone(world: World) -> Iterator[Zone]:
    """The zone, which is as it was again after the test."""
    yield world.dns.zone
    world.dns.zone = dict(ZONE)


@pytest.fixture
def tls(world: World) -> Iterator[int]:
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    with tls_in_front(world.ingest, world.authority.signed(names, dates=("-days", "90"))) as port:
        yield port


def only_fault(findings: Findings) -> tuple[str, str, str]:
    (fault,) = [one for one in findings if one[0] != "ok"]
    return fault


def test_a_domain_that_leads_to_us_is_well(world: World, tls: int) -> None:
    for host in (PUBLIC, SHOP):
        found = world.told(host, tls)
        assert [one[0] for one in found] == ["ok"] * 3, found
        assert found[0][1] == f"{host} leads to 127.0.0.1"
        assert f"the certificate of {host} verifies, until" in found[1][1]
        assert found[2][1] == f"{host} shows the pixel and the page to unsubscribe"


def test_a_record_that_is_missing_is_said_as_what_to_put(world: World, tls: int, zone: Zone) -> None:
    del zone[f"{SHOP}.", "CNAME"]
    cname = f"make it `{SHOP}. CNAME {PUBLIC}.`"
    assert world.told(SHOP, tls) == [("fail", f"{SHOP} has no record in DNS", cname)]
    zone[f"{SHOP}.", "CNAME"] = ["gone.internal."]
    assert world.told(SHOP, tls) == [("fail", f"{SHOP} leads to gone.internal, which has no address", cname)]


def test_a_record_that_leads_elsewhere_is_wrong_unless_we_answer_there(world: World, tls: int, zone: Zone) -> None:
    del zone[f"{SHOP}.", "CNAME"]
    zone[f"{SHOP}.", "A"] = ["127.0.0.2"]  # as a proxy in front of us, and then nobody
    zone[f"{PUBLIC}.", "A"] = ["192.0.2.1"]
    nobody = world.told(SHOP, free_port())
    assert nobody[0] == (
        "fail", f"{SHOP} leads to 127.0.0.2, not to {PUBLIC}", f"make it `{SHOP}. CNAME {PUBLIC}.`",
    )  # fmt: skip
    assert "nothing of use answers at port" in nobody[1][1]
    zone[f"{SHOP}.", "A"] = ["127.0.0.1"]
    assert [one[0] for one in world.told(SHOP, tls)] == ["ok"] * 3


def test_the_first_address_that_lets_us_connect_is_asked(world: World, tls: int, zone: Zone) -> None:
    del zone[f"{SHOP}.", "CNAME"]
    zone[f"{SHOP}.", "A"] = ["127.0.0.9", "127.0.0.1"]
    assert [one[0] for one in world.told(SHOP, tls)] == ["ok"] * 3


def test_a_certificate_that_does_not_verify_is_said_with_what_to_do(world: World) -> None:
    def with_certificate(names: str, *dates: str, context: ssl.SSLContext | None = None) -> Findings:
        certificate = world.authority.signed(names, dates=dates or ("-days", "90"))
        with tls_in_front(world.ingest, certificate) as port:
            return world.told(SHOP, port, context=context)

    verdict, said, todo = only_fault(with_certificate("DNS:other.internal"))
    assert (verdict, said.startswith(f"TLS of {SHOP} fails")) == ("fail", True)
    assert "it is another name's" in todo
    assert f"has a certificate of {SHOP}: deploy/Caddyfile" in todo
    unknown = only_fault(with_certificate(f"DNS:{SHOP}", context=tls_context()))
    assert "name its certificate (PEM) in SENDLENS_CA_FILE" in unknown[2]
    soon = only_fault(with_certificate(f"DNS:{SHOP}", "-days", "3"))
    assert (soon[0], "see why it was not renewed" in soon[2]) == ("warn", True)


def test_plain_http_behind_an_https_address_is_no_tls(world: World) -> None:
    fault = only_fault(world.told(SHOP, world.ingest))
    assert fault[0] == "fail"
    assert f"TLS of {SHOP} fails" in fault[1]


def test_a_domain_that_ingest_does_not_know_is_said_to_be_unknown(world: World, tls: int) -> None:
    verdict, said, todo = only_fault(world.told(UNKNOWN, tls))
    assert (verdict, said) == ("fail", f"{UNKNOWN} shows no pixel of ours (status 404)")
    assert "SENDLENS_TRACKING_HOSTS" in todo


def test_another_installation_has_other_keys(world: World, tls: int) -> None:
    others = Keyring.parse("9:the-key-of-another-installation-somewhere")
    verdict, said, todo = only_fault(world.told(SHOP, tls, others))
    assert (verdict, said) == ("fail", f"{SHOP} shows a pixel, and not the page to unsubscribe (status 404)")
    assert "another one has other keys" in todo


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (RedirectResponse("https://www.shop.internal/", 301), "redirects to https://www.shop.internal/"),
        (Response("<h1>Welcome</h1>"), "shows no pixel of ours (status 200)"),
        (Response(PIXEL + b"x" * 1_000_000), "shows no pixel of ours (status 200)"),
        (Response(status_code=500), "shows no pixel of ours (status 500)"),
    ],
)
def test_another_server_is_no_ingest(world: World, answer: Response, said: str) -> None:
    async def whatever(_: Request) -> Response:
        return answer

    certificate = world.authority.signed(f"DNS:{SHOP}", dates=("-days", "90"))
    with (
        served(Starlette(routes=[Route("/{path:path}", whatever)])) as url,
        tls_in_front(int(url.rpartition(":")[2]), certificate) as port,
    ):
        fault = only_fault(world.told(SHOP, port))
    assert (fault[0], fault[1].removeprefix(f"{SHOP} ")) == ("fail", said)
    assert fault[2]


def test_an_address_without_tls_is_warned_of(world: World) -> None:
    url = f"http://{SHOP}:{world.ingest}"
    found = list(tracking_records(url, f"https://{PUBLIC}", world.settings.keyring, world.dns.names, world.context()))
    assert [one.verdict for one in found] == ["ok", "warn", "ok"]
    assert "links are warned of" in found[1].said
