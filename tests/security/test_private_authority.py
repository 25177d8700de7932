"""Servers whose certificate a private authority signed: believed where its file is named, refused with advice elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from agents.judge.relay_refresh import RelayRefresher
from agents.webhooks.http import EndpointClient
from clickhouse.console import ConsoleAddress, ask
from clickhouse.store import connect
from dashboards.grafana.client import Grafana
from decisions.robots.relay import RelayList
from schemas.errors import Misconfigured, Retry
from schemas.senders import load
from schemas.settings import Settings
from tests.commands.test_senders_command import ANNA, check
from tests.support.authority import Authority, Certificate, tls_in_front
from tests.support.grafana import TOKEN, serving
from tests.support.imap import ImapServer, missing
from tests.support.processes import free_port, start_clickhouse

_EXPIRED = ("-days", "-1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.signed("DNS:localhost")


@pytest.fixture(scope="module")
def smtp() -> Iterator[int]:
    server = Controller(object(), hostname="127.0.0.1", port=free_port())
    server.start()
    yield server.port
    server.stop()


def smtp_account(port: int, ca_file: Path | str = "", host: str = "localhost") -> str:
    named = f'ca_file = "{ca_file}"\n' if ca_file else ""
    return f'[[account]]\naddress = "{ANNA}"\n[account.smtp]\nhost = "{host}"\nport = {port}\ntls = "tls"\n{named}'


def test_imap_and_smtp_by_the_authority_of_their_account_and_of_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, certificate: Certificate, smtp: int
) -> None:
    if missing("dovecot"):
        pytest.skip(missing("dovecot"))
    server = ImapServer("dovecot", [ANNA], (certificate.file, certificate.key))
    server.start()
    try:
        with tls_in_front(smtp, certificate) as port:
            secure = f'[account.imap]\nhost = "localhost"\nport = {server.port}\ntls = "starttls"\npassword_env = "TEST_PASSWORD"\n'
            refused = check(tmp_path, smtp_account(port) + secure)
            assert refused.returncode == 1, refused.stdout
            for line in refused.stdout.splitlines():
                assert "  wrong  " in line, line
                assert "its authority is not known here" in line, line
            assert len(refused.stdout.splitlines()) == 2
            by_account = check(
                tmp_path, smtp_account(port, authority.file) + secure + f'ca_file = "{authority.file}"\n'
            )
            assert by_account.returncode == 0, by_account.stdout + by_account.stderr
            monkeypatch.setenv("SENDLENS_CA_FILE", str(authority.file))
            by_setting = check(tmp_path, smtp_account(port) + secure)
            assert by_setting.returncode == 0, by_setting.stdout + by_setting.stderr
            assert "imap folder  ok" in by_setting.stdout
    finally:
        server.close()


@pytest.mark.parametrize(
    ("names", "dates", "advice"),
    [
        ("DNS:mail.example.com", (), "it is another name's"),
        ("DNS:localhost", _EXPIRED, "it has expired"),
    ],
)
def test_a_certificate_that_is_no_good_is_told_with_what_to_do(
    tmp_path: Path, authority: Authority, smtp: int, names: str, dates: tuple[str, ...], advice: str
) -> None:
    made = authority.signed(names, dates=dates) if dates else authority.signed(names)
    with tls_in_front(smtp, made) as port:
        done = check(tmp_path, smtp_account(port, authority.file))
    assert done.returncode == 1
    assert advice in done.stdout


def test_a_file_without_certificates_ends_the_start_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    (tmp_path / "senders.toml").write_text(smtp_account(465, "empty.pem"))
    with pytest.raises(Misconfigured, match=r"empty.pem has no certificate in PEM"):
        load(Settings(senders=tmp_path / "senders.toml"))
    (tmp_path / "empty.pem").unlink()
    with pytest.raises(Misconfigured, match=r"empty.pem can't be read"):
        load(Settings(senders=tmp_path / "senders.toml"))


def test_grafana(authority: Authority, certificate: Certificate) -> None:
    with serving() as there, tls_in_front(there.server_port, certificate) as port:
        url = f"https://localhost:{port}"
        with Grafana(Settings(grafana_url=url, grafana_token=TOKEN), 10) as unknown, pytest.raises(Retry) as refused:
            unknown.probe("/folders/none")
        assert "its authority is not known here" in str(refused.value)
        with Grafana(Settings(grafana_url=url, grafana_token=TOKEN, ca_file=str(authority.file)), 10) as known:
            assert known.probe("/folders/none")[0] == 404


def test_clickhouse(tmp_path: Path, authority: Authority, certificate: Certificate) -> None:
    server = start_clickhouse(tmp_path / "data", password="secret", readonly_user="reader", readonly_password="look")
    try:
        with tls_in_front(server.port, certificate) as port:
            settings = Settings(
                clickhouse_url=f"https://localhost:{port}", clickhouse_password="secret",
                clickhouse_reader_password="look", clickhouse_database="default",
            )  # fmt: skip
            with pytest.raises(Retry, match="its authority is not known here"):
                connect(settings)
            with pytest.raises(Retry, match="its authority is not known here"):
                list(ask(ConsoleAddress.of(settings), "SELECT 1", "TSV", {}))
            believing = settings.model_copy(update={"ca_file": str(authority.file)})
            with connect(believing) as client:
                assert client.command("SELECT 41 + 1") == 42
            assert b"".join(ask(ConsoleAddress.of(believing), "SELECT 41 + 1", "TSV", {})) == b"42\n"
    finally:
        server.stop()


async def test_webhooks_and_the_relay_list(tmp_path: Path, authority: Authority, certificate: Certificate) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="172.224.224.0/31,US,,,\n") if request.method == "GET" else web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context())
    await site.start()
    url = f"https://localhost:{runner.addresses[0][1]}/"
    try:
        for ca_file, status, result in (("", 0, "failed"), (str(authority.file), 204, "new")):
            endpoints = EndpointClient(private=True, ca_file=ca_file, seconds=10.0)
            told = await endpoints.post(url, {}, b"{}")
            await endpoints.close()
            assert told.status == status
            assert bool(status) or "its authority is not known here" in told.words
            settings = Settings(relay_list_url=url, ca_file=ca_file, data_dir=tmp_path)
            lists: list[RelayList] = []
            assert await asyncio.to_thread(RelayRefresher(settings, lists.append).once) == result
            assert len(lists) == bool(status)
    finally:
        await runner.cleanup()
