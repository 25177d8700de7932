"""Speed of the sender: instrumentation alone, and sends a second beside bare aiosmtplib on the same mail server.

`python -m tests.bench.sender` prints both. The mail server is an SMTP sink in a process of its own that answers without
reading what it gets, so that the clients are what is measured.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median

import aiosmtplib

from agents.attempts import Attempts, attempts_view
from agents.decisions.instrument import instrument
from agents.known import Known
from agents.sender import Sender
from agents.waiting import waits_view
from schemas.events import Campaign, Delivery, Lead, Pause, Send
from schemas.senders import load
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.topics import CAMPAIGNS, DELIVERIES, LEADS, PAUSES
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PUBLIC, a_send

CONNECTIONS = 4
EMAILS = 1500
ROUNDS = 3

_ARTICLE = """
<tr><td style="padding:0 24px 16px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:21px;color:#333">
<table role="presentation" cellpadding="0" cellspacing="0" border="0" width="100%"><tr><td width="120" valign="top">
<img src="https://cdn.example.com/spring/{n}.jpg" width="120" height="90" alt="Product {n}" style="display:block"></td>
<td style="padding-left:16px"><h3 style="margin:0 0 8px;font-size:16px">Grüße aus dem Frühling, Nummer {n}</h3>
<p style="margin:0 0 8px">Plain words that say something about the product, its price and why it is worth a look, in a
paragraph as long as they are in newsletters, with <b>some</b> emphasis and an &euro; sign, and then some more of it to
come to a usual length, because the ratio of text to markup is what decides how long all of this takes to rewrite.</p>
<a href="https://shop.example.com/products/{n}?utm_source=mail&amp;utm_campaign=spring" target="_blank"
style="color:#0066cc;text-decoration:none">See product {n}</a></td></tr></table></td></tr>
"""


def newsletter(size: int) -> str:
    """HTML of at least `size` bytes: tables, styles, an image and a link an article, as newsletters have them."""
    articles, length, n = [], 0, 0
    while length < size:
        articles.append(_ARTICLE.format(n=n))
        length += len(articles[-1].encode())
        n += 1
    return f"<!doctype html><html><body><table>{''.join(articles)}</table></body></html>"


def instrument_ms(send: Send, rounds: int = 200) -> list[float]:
    """Milliseconds of each call, sorted."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def ours(settings: Settings, sends: list[Send]) -> float:
    """Sends a second through the Sender, instrumentation and all."""
    campaigns = StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id)
    pauses = StateTopic(settings, PAUSES, Pause, lambda pause: pause.campaign)
    leads = StateTopic(settings, LEADS, Lead, lambda lead: lead.key)
    deliveries = StateTopic(settings, DELIVERIES, Delivery, lambda delivery: delivery.delivery_id)
    waits, attempts = waits_view(settings), attempts_view(settings)
    for view in (campaigns, pauses, leads, deliveries, waits, attempts):
        view.current_at = math.inf
    campaigns.put(Campaign(id="spring", name="Spring", created_at=NOW))

    async def nothing(_: object) -> dict[str, None]:
        return {}

    sender = Sender(
        settings,
        load(settings),
        Known(campaigns, pauses, leads, deliveries, waits, Attempts(attempts, nothing)),  # type: ignore[arg-type]
        already_sent=nothing,  # type: ignore[arg-type]
        publish_links=nothing,  # type: ignore[arg-type]
    )
    began = time.perf_counter()
    for first in range(0, len(sends), 50):
        results = await sender.send(sends[first : first + 50])
        assert all(result.delivery for result in results)
    took = time.perf_counter() - began
    await sender.close()
    return len(sends) / took


async def bare(settings: Settings, sends: list[Send]) -> float:
    """Sends a second by `aiosmtplib.SMTP.sendmail` of finished messages over as many connections."""
    mails = [instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW) for send in sends]

    async def connection() -> None:
        async with aiosmtplib.SMTP(hostname=settings.smtp_host, port=settings.smtp_port, start_tls=False) as client:
            while mails:
                mail = mails.pop()
                await client.sendmail(mail.envelope_from, [mail.envelope_to], mail.message)

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return len(sends) / (time.perf_counter() - began)


async def sink() -> None:
    """Take mail as fast as it comes; print the port, serve until stdin closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while command := (await reader.readline())[:4].upper():
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=16_000_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def main() -> None:
    for kind, send in (
        ("with its text part made of the html", a_send(html=newsletter(100_000))),
        ("with a text part of its own", a_send(html=newsletter(100_000), text="Hello\n" * 500)),
    ):
        times = instrument_ms(send)
        print(f"instrument 100 kB, {kind}: median {median(times):.2f} ms, 95 % {times[len(times) * 95 // 100]:.2f} ms")

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.sender",
        "sink",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        smtp_port=int(await process.stdout.readline()),
        smtp_connections=CONNECTIONS,
        token_keys=f"1:{'k' * 32}",
    )
    try:
        for size in (2_000, 20_000):
            sends = [
                a_send(lead=f"lead-{n}", html=newsletter(size), requested_at=datetime.now(UTC)) for n in range(EMAILS)
            ]
            contenders: dict[str, Callable[[Settings, list[Send]], Awaitable[float]]] = {"bare": bare, "ours": ours}
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(ROUNDS):  # in turn, so that the machine's moods meet both
                for name, contender in contenders.items():
                    rates[name].append(await contender(settings, sends))
            ours_, bare_ = median(rates["ours"]), median(rates["bare"])
            print(
                f"{EMAILS} emails of {size // 1000} kB html, {CONNECTIONS} connections: {ours_:.0f}/s,"
                f" bare aiosmtplib {bare_:.0f}/s, ratio {ours_ / bare_:.2f}"
            )
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(sink() if sys.argv[1:] == ["sink"] else main())
