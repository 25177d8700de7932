"""Talking to a mail server: answers are values, silence is raised, connections are few and used again."""

from __future__ import annotations

import asyncio
import base64
import ssl
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from agents.transport.smtp import SmtpPool
from agents.transport.transport import ConnectionDropped
from decisions.sending.answers import SmtpAccepted, SmtpRefused
from schemas.errors import Retry
from schemas.senders import Credential, Smtp
from tests.agents.transport.smtp_server import HANG_UP, SILENCE, Server, only
from tests.support.waiting import until

MESSAGE = b"Subject: hello\r\n\r\n.a line that begins with a dot\r\nFrom me\r\n.\r\n"
TO = "ada@example.net"

MakePool = Callable[..., SmtpPool]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        yield server


@pytest.fixture
async def make_pool(server: Server) -> AsyncIterator[MakePool]:
    pools: list[SmtpPool] = []

    def make(timeout: float = 10.0, **changes: Any) -> SmtpPool:
        login = {"user": changes.pop("user"), "password_env": "THE_PASSWORD"} if "user" in changes else {}
        password = changes.pop("password", "")
        place = {"host": "127.0.0.1", "port": server.port, "tls": "none"} | login
        place |= {name: changes.pop(name) for name in ("host", "port", "tls", "ca_file") if name in changes}
        options = {"clock": lambda: datetime.now(UTC), "timeout": timeout, "verdict": timeout} | changes
        if login:
            options["credential"] = lambda: Credential(login["user"], changes.get("kind", "password"), password)
        pools.append(SmtpPool(Smtp(**place), **options))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


async def deliver(pool: SmtpPool, to: str = TO) -> SmtpAccepted | SmtpRefused:
    return await pool.deliver("bounce+x@bounces.example.com", to, MESSAGE)


async def test_an_accepted_email_arrives_byte_for_byte(server: Server, make_pool: MakePool) -> None:
    before = datetime.now(UTC)
    answer = await deliver(make_pool())
    assert isinstance(answer, SmtpAccepted)
    assert answer.response == "2.0.0 taken"
    (mail,) = server.mails
    assert (mail.envelope_from, mail.envelope_to, mail.content) == ("bounce+x@bounces.example.com", TO, MESSAGE)
    assert before <= answer.started_at <= mail.answered_at <= answer.at <= datetime.now(UTC)


async def test_many_emails_share_the_connections(server: Server, make_pool: MakePool) -> None:
    server.seconds_per_mail = 0.02
    pool = make_pool(connections=3)
    await asyncio.gather(*(deliver(pool, f"lead{n}@example.net") for n in range(30)))
    assert sorted(server.recipients()) == sorted(f"lead{n}@example.net" for n in range(30))
    assert server.connections == server.most_under_way == 3


async def test_one_email_after_the_other_needs_one_connection(server: Server, make_pool: MakePool) -> None:
    pool = make_pool(connections=4)
    for _ in range(5):
        await deliver(pool)
    assert (len(server.mails), server.connections) == (5, 1)


@pytest.mark.parametrize(
    ("reply", "permanent", "status"),
    [
        ("550 5.1.1 User unknown", True, "5.1.1"),
        ("550 No such user", True, "550"),
        ("452 4.2.2 Mailbox full", False, "4.2.2"),
        ("451 try later", False, "451"),
    ],
)
@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_refusal_is_a_value_and_the_connection_goes_on(
    server: Server, make_pool: MakePool, reply: str, permanent: bool, status: str, stage: str
) -> None:
    pool = make_pool()
    (server.at_rcpt if stage == "rcpt" else server.at_data)[TO].append(reply)
    answer = await deliver(pool)
    assert isinstance(answer, SmtpRefused)
    assert (answer.permanent, answer.status, answer.stage) == (permanent, status, stage)
    assert answer.diagnostic == reply[4:]
    assert server.transactions == 1
    assert isinstance(await deliver(pool, "bob@example.net"), SmtpAccepted)
    assert server.connections == 1
    assert server.recipients() == ["bob@example.net"]


async def test_a_refused_sender_is_refused_at_mail(server: Server, make_pool: MakePool) -> None:
    server.at_mail.append("553 5.1.8 Sender domain does not exist")
    answer = await deliver(make_pool())
    assert isinstance(answer, SmtpRefused)
    assert (answer.stage, answer.status) == ("mail", "5.1.8")


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_server_that_says_goodbye_gets_a_new_connection(
    server: Server, make_pool: MakePool, stage: str
) -> None:
    pool = make_pool()
    (server.at_rcpt if stage == "rcpt" else server.at_data)[TO].append("421 4.7.0 Too many messages, goodbye")
    answer = await deliver(pool)
    assert isinstance(answer, SmtpRefused)
    assert not answer.permanent
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert server.connections == 2


async def test_goodbye_to_an_idle_connection_costs_the_email_nothing(server: Server, make_pool: MakePool) -> None:
    pool = make_pool()
    await deliver(pool)
    server.at_mail.append("421 4.4.2 idle for too long")
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert (server.connections, len(server.mails)) == (2, 2)


async def test_a_connection_that_was_dropped_while_idle_costs_the_email_nothing(
    server: Server, make_pool: MakePool
) -> None:
    pool = make_pool(connections=2)
    server.seconds_per_mail = 0.01
    await asyncio.gather(deliver(pool), deliver(pool))
    server.drop_connections()
    assert isinstance(await deliver(pool), SmtpAccepted)
    server.at_mail.append(HANG_UP)  # the client has not noticed anything when it begins
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert len(server.mails) == 4


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_hang_up_in_the_middle_is_no_answer(server: Server, make_pool: MakePool, stage: str) -> None:
    pool = make_pool()
    (server.at_rcpt if stage == "rcpt" else server.at_data)[TO].append(HANG_UP)
    with pytest.raises(ConnectionDropped) as dropped:
        await deliver(pool)
    assert (dropped.value.stage, dropped.value.whole) == (stage, stage == "data")
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert (server.connections, server.transactions) == (2, 2)


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_silence_ends_with_the_timeout_and_the_connection_with_it(
    server: Server, make_pool: MakePool, stage: str
) -> None:
    pool = make_pool(timeout=0.3)
    (server.at_rcpt if stage == "rcpt" else server.at_data)[TO].append(SILENCE)
    with pytest.raises(ConnectionDropped) as dropped:
        await deliver(pool)
    assert dropped.value.stage == stage
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert server.connections == 2


async def test_a_server_that_is_down_is_to_be_tried_again_and_named(server: Server, make_pool: MakePool) -> None:
    pool = make_pool()
    await server.stop()
    with pytest.raises(Retry) as away:
        await deliver(pool)
    assert not isinstance(away.value, ConnectionDropped)
    assert pool.trouble is not None
    assert f"127.0.0.1:{server.port}" in pool.trouble
    await server.start()
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert pool.trouble is None


async def test_something_that_is_no_mail_server_is_to_be_tried_again(make_pool: MakePool) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(chatter, "127.0.0.1", 0)
    pool = make_pool(port=other.sockets[0].getsockname()[1])
    with pytest.raises(Retry):
        await deliver(pool)
    other.close()


async def test_a_cancelled_email_does_not_spoil_its_connection_for_the_next(
    server: Server, make_pool: MakePool
) -> None:
    pool = make_pool(connections=1)
    server.at_rcpt[TO].append(SILENCE)
    task = asyncio.create_task(deliver(pool))
    await until(lambda: server.transactions)
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(5):  # sooner than the connection's timeout would tell
        assert isinstance(await deliver(pool, "bob@example.net"), SmtpAccepted)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key."""
    if which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@pytest.mark.parametrize("how", ["starttls", "tls"])
async def test_an_encrypted_connection_with_a_login(
    make_pool: MakePool, certificate: tuple[Path, Path], how: str
) -> None:
    login = {"authenticator": only("grace", "s3cret"), "auth_required": True}
    if how == "tls":
        server = Server(tls=server_context(certificate), options=login | {"auth_require_tls": False})
    else:
        server = Server(options=login | {"tls_context": server_context(certificate), "require_starttls": True})
    async with server:
        pool = make_pool(
            port=server.port, host="localhost", tls=how, user="grace", password="s3cret",
            ca_file=str(certificate[0]),
        )  # fmt: skip
        assert isinstance(await deliver(pool), SmtpAccepted)
        assert isinstance(await deliver(pool), SmtpAccepted)
        await pool.close()
    assert (len(server.mails), server.connections) == (2, 1)


async def test_a_certificate_nobody_vouches_for_is_not_accepted(
    make_pool: MakePool, certificate: tuple[Path, Path]
) -> None:
    async with Server(options={"tls_context": server_context(certificate), "require_starttls": True}) as server:
        pool = make_pool(port=server.port, host="localhost", tls="starttls")
        with pytest.raises(Retry, match=r"certificate verify failed.*SENDLENS_CA_FILE"):
            await deliver(pool)
    assert server.mails == []


async def test_a_refused_login_is_to_be_tried_again_and_names_the_variable(make_pool: MakePool) -> None:
    options = {"authenticator": only("grace", "s3cret"), "auth_required": True, "auth_require_tls": False}
    async with Server(options=options) as server:
        pool = make_pool(port=server.port, user="grace", password="wrong")
        with pytest.raises(Retry, match="THE_PASSWORD") as refused:
            await deliver(pool)
        assert "wrong" not in str(refused.value)
        without = make_pool(port=server.port)
        with pytest.raises(Retry, match="wants a login or TLS"):
            await deliver(without)


async def test_a_reply_of_bytes_that_are_no_text_is_still_a_diagnostic(make_pool: MakePool) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies = deque([b"220 hi", b"250 ok", b"250 ok", b"550 5.1.1 \xff\xfe\r\t gone " + b"x" * 2000, b"250 ok"])
        while replies:
            writer.write(replies.popleft() + b"\r\n")
            if not await reader.readline():
                break
        writer.close()

    other = await asyncio.start_server(rude, "127.0.0.1", 0)
    pool = make_pool(port=other.sockets[0].getsockname()[1])
    answer = await deliver(pool)
    assert isinstance(answer, SmtpRefused)
    assert answer.status == "5.1.1"
    assert len(answer.diagnostic.encode()) <= 500
    await pool.close()
    other.close()


async def a_pipelining_server(answers: dict[bytes, bytes], heard: list[bytes]) -> asyncio.Server:
    """Takes commands in any number at once, as RFC 2920 has it; notes what came in each piece."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            command = line[:4].strip().upper()
            heard.append(command)
            answer = answers.get(
                command, b"250-hi\r\n250-SIZE 1000000\r\n250 PIPELINING" if command == b"EHLO" else b"250 ok"
            )
            writer.write(answer + b"\r\n")
            if command == b"DATA" and answer.startswith(b"354"):
                content = await reader.readuntil(b"\r\n.\r\n")
                heard.append(b"content" if len(content) > 5 else b"nothing")
                writer.write(b"250 taken\r\n" if len(content) > 5 else b"554 no valid recipients\r\n")
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("command", "reply", "stage"),
    [
        (b"MAIL", b"553 5.1.8 no", "mail"),
        (b"RCPT", b"550 5.1.1 unknown", "rcpt"),
        (b"DATA", b"554 5.5.1 no valid recipients", "data"),
    ],
)
async def test_commands_go_in_one_piece_where_the_server_takes_that(
    make_pool: MakePool, command: bytes, reply: bytes, stage: str
) -> None:
    heard: list[bytes] = []
    answers = {b"DATA": b"354 go on", command: reply}
    other = await a_pipelining_server(answers, heard)
    pool = make_pool(port=other.sockets[0].getsockname()[1])
    answer = await deliver(pool)
    assert isinstance(answer, SmtpRefused)
    assert (answer.stage, answer.code) == (stage, int(reply[:3]))
    assert b"content" not in heard
    answers[command] = b"354 go on" if command == b"DATA" else b"250 ok"
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert heard.count(b"EHLO") == 1, "over the same connection"
    assert heard[-4:] == [b"MAIL", b"RCPT", b"DATA", b"content"]
    await pool.close()
    other.close()


async def test_a_login_by_oauth2_gives_the_token_of_now_and_names_the_variable_when_it_is_refused() -> None:
    """XOAUTH2 as Google and Microsoft document it: user and bearer token, base64."""
    tokens = ["expired", "fresh"]
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            if line.startswith(b"AUTH XOAUTH2 "):
                heard.append(base64.b64decode(line.split()[2]))
                writer.write(b"235 2.7.0 ok\r\n" if b"fresh" in heard[-1] else b"535 5.7.8 no\r\n")
            elif line.startswith(b"EHLO"):
                writer.write(b"250-hi\r\n250 AUTH XOAUTH2\r\n")
            elif line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250 ok\r\n")
        writer.close()

    other = await asyncio.start_server(serve, "127.0.0.1", 0)
    server = Smtp(
        host="127.0.0.1", port=other.sockets[0].getsockname()[1], tls="none", user="ben@example.com",
        oauth2_token_env="BEN_TOKEN",
    )  # fmt: skip
    pool = SmtpPool(
        server, clock=lambda: datetime.now(UTC), credential=lambda: Credential(server.user, "oauth2", tokens.pop(0))
    )
    with pytest.raises(Retry, match="BEN_TOKEN") as refused:
        await deliver(pool)
    assert "expired" not in str(refused.value)
    assert isinstance(await deliver(pool), SmtpAccepted)
    assert heard[-1] == b"user=ben@example.com\x01auth=Bearer fresh\x01\x01"
    await pool.close()
    other.close()
