"""Accounts: who sends as whom, over which server, how much, and signed by which key."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from collections import Counter
from datetime import timedelta
from pathlib import Path
from shutil import which

import dkim
import pytest

from agents.sender.outcome import SendTask, unfinished
from agents.transport.dkim import signer
from schemas.errors import Misconfigured
from schemas.events import Campaign
from schemas.senders import Account, Dkim, Senders, Smtp, parse
from schemas.state.attempts import Attempt
from tests.agents.mails import NOW, a_send, parsed
from tests.agents.sender.sender_house import PATIENCE, House, house, to
from tests.agents.sender.test_retries import Clock
from tests.agents.transport.smtp_server import Server

__all__ = ["house"]  # the fixture


def senders(*accounts: str) -> Senders:
    """The accounts of these pieces of senders.toml."""
    text = "\n".join(f"[[account]]\n{account}" for account in accounts)
    return Senders(parse(text, Path("senders.toml"), "bounces.example.com"), None, lambda: {})


def account(address: str, port: int, more: str = "") -> str:
    return f'address = "{address}"\n{more}\n[account.smtp]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'


async def test_an_email_leaves_by_the_account_of_its_from_address(house: House) -> None:
    async with Server() as other:
        accounts = senders(
            account("grace@example.com", house.server.port),
            account("Ada@example.org", other.port, 'envelope_domain = "back.example.org"'),
        )
        sends = [to("one"), to("two", sender="Ada <ada@example.org>"), to("three", sender="eve@example.org")]
        one, two, three = await house.sender(accounts=accounts).send(sends)
        assert (house.server.recipients(), other.recipients()) == (["one@example.net"], ["two@example.net"])
        assert other.mails[0].envelope_from.endswith("@back.example.org")
        assert "back.example.org" in parsed(other.mails[0].content)["List-Unsubscribe"]
        assert one.delivery is not None
        assert two.delivery is not None
        assert three.dead is not None
        assert three.dead.reason == "no-account"


async def test_a_server_that_is_away_stops_no_other_account(house: House) -> None:
    async with Server() as gone:
        port = gone.port
    accounts = senders(account("grace@example.com", house.server.port), account("ada@example.org", port))
    batch = [to(f"lead-{n}", sender="ada@example.org" if n % 2 else "grace@example.com") for n in range(20)]
    sender = house.sender(accounts=accounts, outage_seconds=(0.2, 0.2))
    async with asyncio.timeout(PATIENCE):
        results = await sender.send(batch)
    assert sorted(house.server.recipients()) == sorted(send.to for send in batch[::2])
    waits = [result.waiting for result in results[1::2]]
    assert [(wait.state, wait.attempt) for wait in waits if wait] == [("away", 0)] * 10
    assert not any(result.events for result in results[1::2]), "no attempt was made"


async def test_what_a_server_away_kept_waiting_goes_out_when_it_is_back(house: House) -> None:
    server = Server()
    await server.start()
    await server.stop()
    accounts = senders(account("grace@example.com", house.server.port), account("ada@example.org", server.port))
    send = to("later", sender="ada@example.org")
    sender = house.sender(accounts=accounts, outage_seconds=(0.01, 0.02))
    (waits,) = await sender.send([send])
    assert waits.waiting is not None
    await server.start()
    result = unfinished(SendTask(send))
    async with asyncio.timeout(PATIENCE):
        while result.unfinished:
            (result,) = await sender.again([(waits.waiting, send)])
            await asyncio.sleep(0.01)
    assert result.delivery is not None
    assert result.waiting is not None
    assert result.waiting.state == "settled"
    await server.stop()


async def test_over_its_limit_an_account_waits_until_the_window_opens(house: House) -> None:
    clock = Clock()
    accounts = senders(account("grace@example.com", house.server.port, "hourly_limit = 3\ndaily_limit = 5"))
    sender = house.sender(accounts=accounts, clock=clock)
    batch = [to(f"lead-{n}") for n in range(7)]
    results = await sender.send(batch)
    waiting = [result.waiting for result in results if result.waiting]
    assert len(house.server.mails) == 3
    assert [(wait.state, wait.attempt) for wait in waiting] == [("over-limit", 0)] * 4
    due_in = {round((wait.due_at - clock()).total_seconds() / 60) for wait in waiting}
    assert due_in == {60}
    assert not any(result.events for result in results if result.waiting), "no bounce, no deferral"
    sends = {send.delivery_id: send for send in batch}
    clock.passed += timedelta(hours=1, seconds=1)
    later = await sender.again([(wait, sends[wait.delivery_id]) for wait in waiting])
    assert len(house.server.mails) == 5, "then the day's limit holds"
    assert sum(result.unfinished for result in later) == 2, "these stay as they are"
    clock.passed += timedelta(hours=23)
    left = [(result.waited, result.send) for result in later if result.unfinished]
    last = await sender.again([(wait, send) for wait, send in left if wait])
    assert all(result.delivery for result in last)
    assert max(Counter(house.server.recipients()).values()) == 1


async def test_what_other_workers_and_this_one_sent_before_a_restart_counts_too(house: House) -> None:
    accounts = senders(account("grace@example.com", house.server.port, "daily_limit = 3"))
    sender = house.sender(accounts=accounts)
    for number in range(2):
        sender.routes.limits.saw(
            Attempt(
                delivery_id=a_send(lead=f"before-{number}").delivery_id, request_id=a_send().request_id, attempt=1,
                at=Clock()(), sender="grace@example.com", message_id="m", outcome="delivered",
            )
        )  # fmt: skip
    await sender.send([to(f"lead-{n}") for n in range(4)])
    assert len(house.server.mails) == 1


async def test_a_refusal_for_now_counts_for_nothing(house: House) -> None:
    house.server.at_rcpt["grey@example.net"].append("451 4.7.1 later")
    accounts = senders(account("grace@example.com", house.server.port, "daily_limit = 1"))
    sender = house.sender(accounts=accounts)
    await sender.send([to("grey")])
    (result,) = await sender.send([to("next")])
    assert result.delivery is not None


def key_file(folder: Path, kind: str) -> Path:
    if which("openssl") is None:
        pytest.skip("no openssl command to make a key with")
    path = folder / f"{kind}.pem"
    how = ["-algorithm", "ed25519"] if kind == "ed25519" else ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    subprocess.run(["openssl", "genpkey", *how, "-out", str(path)], check=True, capture_output=True)
    return path


def dns_of(path: Path, kind: str) -> dict[bytes, bytes]:
    """The key's TXT record, as it would stand in DNS."""
    der = subprocess.run(
        ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    public = base64.b64encode(der[-32:] if kind == "ed25519" else der)
    return {b"mail._domainkey.example.com.": b"v=DKIM1; k=" + kind.encode() + b"; p=" + public}


def verified(message: bytes, dns: dict[bytes, bytes]) -> bool:
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: dns.get(name)))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_what_arrives_is_signed_and_the_unsubscribe_headers_are_covered(
    house: House, tmp_path: Path, kind: str
) -> None:
    path = key_file(tmp_path, kind)
    more = f'[account.dkim]\nselector = "mail"\nkey_file = "{path}"'
    accounts = senders(account("grace@example.com", house.server.port) + more)
    html = "<p>" + "Grüße, .\n. and so on \t\n" * 200 + "</p>"
    (result,) = await house.sender(accounts=accounts).send([a_send(html=html, subject="Grüße " * 20)])
    assert result.delivery is not None
    message, dns = house.server.mails[0].content, dns_of(path, kind)
    assert verified(message, dns)
    signature = " ".join(str(parsed(message)["DKIM-Signature"]).split())
    assert "c=relaxed/relaxed" in signature
    covered = signature.partition("h=")[2].partition(";")[0].replace(" ", "").split(":")
    assert {"from", "to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"} <= set(covered)
    for header in (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click", b"Subject: "):
        assert not verified(message.replace(header, header + b"x"), dns)
    assert not verified(b"From: eve@example.com\r\n" + message, dns), "nobody may add a second From"


def test_a_key_that_cannot_sign_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "broken.pem"
    kind = "PRIVATE KEY"
    path.write_text(f"-----BEGIN {kind}-----\nbm90IGEga2V5\n-----END {kind}-----\n")
    with pytest.raises(Misconfigured, match=r"broken\.pem"):
        signer(Account(address="a@example.com", dkim=Dkim(selector="mail", key_file=str(path), domain="example.com")))


async def test_an_email_is_tracked_by_its_campaigns_address_or_its_accounts_or_that_of_the_settings(
    house: House,
) -> None:
    house.campaigns.put(Campaign(id="own", name="Own", created_at=NOW, tracking_url="https://t.own.example"))
    accounts = senders(
        account("grace@example.com", house.server.port),
        account("ada@example.org", house.server.port, 'tracking_url = "https://t.ada.example"'),
    )
    sends = [
        to("one"),
        to("two", sender="Ada <Ada@example.org>"),
        to("three", sender="ada@example.org", campaign="own"),
        to("four", campaign="own"),
    ]
    outcomes = await house.sender(accounts=accounts).send(sends)
    assert all(outcome.delivery for outcome in outcomes)
    expected = {
        "one@example.net": house.settings.public_url,
        "two@example.net": "https://t.ada.example",
        "three@example.net": "https://t.own.example",
        "four@example.net": "https://t.own.example",
    }
    for mail in house.server.mails:
        message = parsed(mail.content)
        url = expected[message["To"]]
        assert message["List-Unsubscribe"].startswith(f"<{url}/u/")
        html = message.get_body(("html",))
        assert html is not None
        assert f'src="{url}/o/' in html.get_content()


async def test_a_mailboxs_tracking_address_holds_also_where_all_mail_leaves_by_one_server(house: House) -> None:
    mailbox = 'address = "grace@example.com"\ntracking_url = "https://t.grace.example"\n'
    known = senders(f'{mailbox}[account.imap]\nhost = "imap.example"\npassword_env = "X"\n')
    everybody = Account(
        address="", envelope_domain="b.example.com", smtp=Smtp(host="127.0.0.1", port=house.server.port, tls="none")
    )
    sender = house.sender(accounts=Senders(known.accounts, everybody, dict))
    await sender.send([to("one"), to("two", sender="ada@example.org")])
    found = {m["To"]: m["List-Unsubscribe"] for m in (parsed(mail.content) for mail in house.server.mails)}
    assert found["one@example.net"].startswith("<https://t.grace.example/u/")
    assert found["two@example.net"].startswith(f"<{house.settings.public_url}/u/")
