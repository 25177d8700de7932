"""By which hosts recipients are answered, and for which a certificate may be made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.tracking_hosts import CampaignHosts, asked_host
from schemas.events import Campaign
from schemas.settings import Settings
from schemas.tokens import Purpose
from schemas.topics import CAMPAIGNS
from tests.ingest.room import Answer, Room, add_link, hits, put, running
from tests.support.processes import free_port

PUBLIC, SHOP, SPRING, OLD = "t.example.com", "t.shop.example", "t.spring.example", "old.example.com"
STRANGER = "stranger.example.net"
SENDERS = f'[[account]]\naddress = "anna@shop.example"\ntracking_url = "https://{SHOP}"\n[account.smtp]\nhost = "mx.example"\n'
LINK = "https://example.net/seeds"
CREATED = datetime(2026, 11, 1, tzinfo=UTC)


async def asked(room: Room, path: str, host: str | None, method: str = "GET", **headers: str) -> Answer:
    lines = [(b"host", host.encode())] if host is not None else []
    lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await room.ask(path, method, lines)


def paths(room: Room, link_id: str) -> tuple[str, str, str]:
    opened, clicked = room.token(Purpose.OPEN), room.token(Purpose.CLICK)
    return f"/o/{opened}.gif", f"/c/{clicked}/{link_id}", f"/u/{room.token(Purpose.UNSUBSCRIBE)}"


async def statuses(room: Room, host: str | None, **headers: str) -> list[int]:
    """What pixel, link and page to unsubscribe are answered with by this host."""
    found = add_link(room.settings, LINK)
    return [(await asked(room, path, host, **headers)).status for path in paths(room, found)]


async def declare(room: Room, **options: Any) -> None:
    body = {"id": "spring", "name": "Spring launch", **options}
    answer = await room.client.post("/v1/campaigns", json=body)
    assert answer.status_code in (200, 201), answer.text


@pytest.fixture
def named(settings: Settings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of an installation whose senders.toml names a tracking domain."""

    def of(**changes: object) -> Settings:
        (tmp_path / "senders.toml").write_text(SENDERS)
        given: dict[str, object] = {"public_url": f"https://{PUBLIC}", "senders": tmp_path / "senders.toml"}
        return settings.model_copy(update=given | changes)

    return of


async def test_before_a_host_is_named_every_host_is_answered(settings: Settings) -> None:
    async with running(settings.model_copy(update={"public_url": f"https://{PUBLIC}"})) as room:
        await room.until_ready()
        await declare(room, tracking_url=f"https://{SPRING}")
        for host in (PUBLIC, SPRING, STRANGER, "192.0.2.1:8080", "no_host's name", None):
            assert await statuses(room, host) == [200, 302, 200], host


async def test_hosts_of_settings_accounts_and_campaigns_are_answered_and_no_other(
    named: Callable[..., Settings],
) -> None:
    async with running(named(tracking_hosts=OLD)) as room:
        await room.until_ready()
        assert await statuses(room, SPRING) == [404, 404, 404], "not declared yet"
        await declare(room, tracking_url=f"https://{SPRING}")
        for host in (PUBLIC, SHOP, SPRING, OLD, f"{PUBLIC.upper()}.", f"{SHOP}:8443"):
            assert await statuses(room, host) == [200, 302, 200], host
        recorded = len(hits(room.settings))
        for host in (STRANGER, f"x.{SHOP}", f"{SHOP}.example.net", f"{SHOP}@{STRANGER}", "a" * 400 + ".example"):
            assert await statuses(room, host) == [404, 404, 404], host
        assert len(hits(room.settings)) == recorded
        assert await room.counted("sendlens_hits_rejected_total", kind="open", reason="host") == 6
        assert await room.counted("sendlens_hits_rejected_total", kind="click", reason="host") == 6
        assert await room.counted("sendlens_unsubscribes_total", via="none", result="host") == 6


async def test_what_is_refused_is_a_page_that_says_so_and_unsubscribes_nobody(named: Callable[..., Settings]) -> None:
    async with running(named()) as room:
        await room.until_ready()
        path = f"/u/{room.token(Purpose.UNSUBSCRIBE)}"
        posted = await asked(room, path, STRANGER, "POST")
        assert (posted.status, posted.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert b"<h1>" in posted.body
        german = await asked(room, path, STRANGER, accept_language="de")
        assert german.body != posted.body
        head = await asked(room, path, STRANGER, "HEAD")
        assert (head.status, head.body) == (404, b"")
        assert await room.counted("sendlens_unsubscribes_total", via="one-click", result="recorded") == 0


async def test_probes_the_page_and_v1_are_answered_whatever_the_host(named: Callable[..., Settings]) -> None:
    key = "a-key-of-these-tests-and-no-other"
    async with running(named(api_key=key)) as room:
        await room.until_ready()
        for host in (STRANGER, "10.1.2.3:8080", None):
            for path in ("/healthz", "/readyz"):
                assert (await asked(room, path, host)).status == 200, (path, host)
            for path in ("/metrics", "/v1/webhooks"):
                answer = await asked(room, path, host, authorization=f"Bearer {key}")
                assert answer.status == 200, (path, host)


async def test_who_asks_by_an_address_or_by_a_name_of_the_network_is_answered(named: Callable[..., Settings]) -> None:
    async with running(named()) as room:
        await room.until_ready()
        for host in (
            "192.0.2.1",
            "10.1.2.3:8080",
            "[2001:db8::1]:8080",
            "ingest:8080",
            "send_lens",
            "localhost",
            "",
            None,
        ):
            assert await statuses(room, host) == [200, 302, 200], host


async def test_a_proxy_of_ours_says_by_which_host_it_was_asked_and_nobody_else_does(
    named: Callable[..., Settings],
) -> None:
    inside = "ingest.sendlens.svc.cluster.local"
    async with running(named(trusted_proxies="192.0.2.0/24")) as room:  # where the room's requests are from
        await room.until_ready()
        assert await statuses(room, inside) == [404, 404, 404], "it says nothing"
        assert await statuses(room, inside, x_forwarded_host=SHOP) == [200, 302, 200]
        assert await statuses(room, inside, x_forwarded_host=f"{SHOP}, {inside}") == [200, 302, 200]
        assert await statuses(room, SHOP, x_forwarded_host=STRANGER) == [404, 404, 404]
    async with running(named()) as room:
        await room.until_ready()
        assert await statuses(room, STRANGER, x_forwarded_host=SHOP) == [404, 404, 404]


async def test_to_list_the_public_host_alone_is_enough_to_refuse_others(named: Callable[..., Settings]) -> None:
    async with running(named(senders=Path("none.toml"), tracking_hosts=PUBLIC)) as room:
        await room.until_ready()
        await declare(room, tracking_url=f"https://{SPRING}")
        assert [await statuses(room, host) for host in (PUBLIC, SPRING)] == [[200, 302, 200]] * 2
        assert await statuses(room, SHOP) == [404, 404, 404]


async def test_with_a_star_every_host_is_answered_and_none_more_gets_a_certificate(
    named: Callable[..., Settings],
) -> None:
    async with running(named(tracking_hosts=f"*,{OLD}")) as room:
        await room.until_ready()
        assert await statuses(room, STRANGER) == [200, 302, 200]
        assert [await certificate(room, host) for host in (STRANGER, OLD, SHOP)] == [404, 200, 200]


async def certificate(room: Room, host: str) -> int:
    return (await room.client.get("/tls/allowed", params={"domain": host})).status_code


async def test_a_certificate_is_for_hosts_that_are_named_and_asked_for_without_a_key(
    named: Callable[..., Settings],
) -> None:
    async with running(named(tracking_hosts=OLD, api_key="a-key-of-these-tests-and-no-other")) as room:
        await room.until_ready()
        assert await certificate(room, SPRING) == 404
        await declare_with_key(room)
        assert [await certificate(room, host) for host in (PUBLIC, SHOP, SPRING, OLD, SHOP.upper())] == [200] * 5
        refused = (
            STRANGER,
            f"x.{SHOP}",
            "*.shop.example",
            "192.0.2.1",
            "localhost",
            "",
            "a" * 300,
            "\r\n",
            "a@b.example",
        )
        assert [await certificate(room, host) for host in refused] == [404] * len(refused)
        assert await certificate(room, "a" * 301) == 422
        assert (await room.client.get("/tls/allowed")).status_code == 422
        inside = await room.client.get("/tls/allowed", params={"domain": SHOP}, headers={"host": "ingest:8080"})
        assert inside.status_code == 200, "Caddy asks by a name of its network"


async def declare_with_key(room: Room) -> None:
    room.client.headers["authorization"] = "Bearer a-key-of-these-tests-and-no-other"
    await declare(room, tracking_url=f"https://{SPRING}")
    del room.client.headers["authorization"]


async def test_what_another_ingest_has_declared_is_known_when_it_is_asked_for(named: Callable[..., Settings]) -> None:
    async with running(named()) as room:
        await room.until_ready()
        assert await certificate(room, SPRING) == 404
        campaign = Campaign(id="spring", name="Spring", created_at=CREATED, tracking_url=f"https://{SPRING}")
        put(room.settings, CAMPAIGNS, "spring", campaign)
        assert await certificate(room, SPRING) == 200
        assert await statuses(room, SPRING) == [200, 302, 200]


async def test_a_campaigns_former_host_is_known_no_more_unless_it_is_listed(named: Callable[..., Settings]) -> None:
    async with running(named(tracking_hosts=OLD)) as room:
        await room.until_ready()
        for host in (SPRING, OLD, ""):
            await declare(room, tracking_url=f"https://{host}" if host else "")
            known = [await certificate(room, one) for one in (SPRING, OLD)]
            assert known == [200 if host == SPRING else 404, 200]


async def test_while_campaigns_cannot_be_read_no_hit_is_refused_on_a_guess(
    settings_for: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.tracking_hosts._PATIENCE", 0.1)
    (tmp_path / "senders.toml").write_text(SENDERS)
    away = settings_for(f"127.0.0.1:{free_port()}", senders=tmp_path / "senders.toml")
    async with running(away) as room:
        answer = await asked(room, f"/o/{room.token(Purpose.OPEN)}.gif", STRANGER)
        assert answer.status == 200, "it is in the spool"
        assert (await asked(room, f"/u/{room.token(Purpose.UNSUBSCRIBE)}", STRANGER)).status == 200
        assert [await certificate(room, host) for host in (SHOP, STRANGER)] == [200, 503]


async def test_a_tracking_address_of_another_form_is_no_campaigns(room: Room) -> None:
    body = {"id": "spring", "name": "Spring launch"}
    for url in ("t.example.com", "javascript:alert(1)", 'https://t.example.com/"x', "https://" + "a" * 400):
        answer = await room.client.post("/v1/campaigns", json=body | {"tracking_url": url})
        assert answer.status_code == 422, url
        assert "tracking_url" in answer.json()["detail"]
    answer = await room.client.post("/v1/campaigns", json=body | {"tracking_url": "HTTPS://T.Example.com/"})
    assert (answer.status_code, answer.json()["tracking_url"]) == (201, "https://t.example.com")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("T.Example.com", "t.example.com"), ("t.example.com:443", "t.example.com"), ("t.example.com.", "t.example.com"),
        ("", ""), ("[2001:db8::1]:443", ""), ("send_lens:80", ""), ("t_x.example.com", None), ("a b.example", None),
        ("x" * 301, None), ("\xff.example", None),
    ],
)  # fmt: skip
def test_a_host_is_read_without_its_port_and_in_lower_case(host: str, found: str | None) -> None:
    assert asked_host([(b"accept", b"*/*"), (b"host", host.encode("latin-1"))], False) == found


def test_a_host_is_known_as_long_as_a_campaign_has_it() -> None:
    known = CampaignHosts()

    def of(id_: str, host: str) -> Campaign:
        return Campaign(id=id_, name=id_, created_at=CREATED, tracking_url=f"https://{host}" if host else "")

    for campaign in (of("a", SHOP), of("b", SHOP), of("b", SHOP), of("a", SPRING)):
        known.saw(campaign)
    assert SHOP in known
    assert SPRING in known
    known.saw(of("b", ""))
    assert SHOP not in known
    assert "" not in known
