"""Sends a second beside bare aiosmtplib, on the same mail server over as many connections.

The mail server is an SMTP sink in a process of its own that answers without reading what it gets, so that the clients
are what is measured; and so is what publishes, which would cost Kafka's time, and the store, which would cost ClickHouse's.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from datetime import UTC, datetime

import aiosmtplib

from agents.pipeline import SENDER
from agents.sender.attempt_log import AttemptLog, attempts_view
from agents.sender.sender import Sender
from agents.sender.sender_state import SenderState
from agents.sender.wait_queue import waits_view
from decisions.sending.instrument import instrument
from schemas.events import Campaign, Delivery, Lead, Pause, Send
from schemas.senders import load
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, DELIVERIES, LEADS, PAUSES
from stream.state import StateTopic
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PUBLIC, a_send
from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.newsletters import newsletter
from tests.bench.workshop import Workshop, free_port, listens, python

CONNECTIONS = 4
_EMAILS = 1500
_LONGEST = 60.0
# By name: bytes of HTML, whether each lead is greeted by name, and what the server says it can.
_KINDS = {
    f"{email}{server}": (*of_email, extension)
    for server, extension in (("", "PIPELINING"), (", no pipelining", "8BITMIME"))
    for email, of_email in {
        "2 kB, the same for all": (2_000, False),
        "20 kB, the same for all": (20_000, False),
        "20 kB, each with a name": (20_000, True),
    }.items()
}


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Send the same emails with both, in turns."""
    count, rounds = (300, 1) if quick else (_EMAILS, 5)
    section = Section(
        title="Emails sent per second",
        how=(
            f"{count:,} emails with a text part made of their HTML, over {CONNECTIONS} connections to an SMTP sink on "
            "loopback that throws them away. Bare aiosmtplib sends messages that were finished before; ours begins with the "
            "request: gate, instrumentation, gate, attempt, SMTP, outcome. What ours writes goes nowhere here: Kafka's and "
            "ClickHouse's own time is left out on purpose. The sink says that it takes several commands at once (RFC 2920), as "
            "the mail servers in use do; ours sends them so, aiosmtplib one by one. `no pipelining`: it does not say so. The "
            "client is pinned to one core, the sink to the other."
        ),
        command="python -m tests.bench --only sending",
    )
    rows: list[tuple[str, ...]] = []
    for kind, (*_, extension) in _KINDS.items():
        port = free_port()
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        with workshop.running(
            "sink", python("-m", __name__, "sink", str(port), extension), core=workshop.load_core
        ) as job:
            workshop.await_(job, lambda: listens(port))  # noqa: B023  # asked at once
            for _ in range(rounds):
                for name, taken in rates.items():
                    taken.append(_rate(workshop, name, port, kind, count))
        ours_, bare_ = Samples(tuple(rates["ours"])), Samples(tuple(rates["bare"]))
        print(f"  {kind}: ours {ours_.middle:,.0f}/s, bare {bare_.middle:,.0f}/s", flush=True)
        for name, samples in (("Sendlens", ours_), ("bare aiosmtplib", bare_)):
            rows.append((name, kind, f"{samples.middle:,.0f}", f"{samples.spread:.0%}"))
        section.ratios.append(Ratio(f"ours / bare aiosmtplib, {kind}", ours_.over(bare_), 0.7))
    section.tables.append(Table(("sender", "emails", "emails/s", "spread"), rows))
    return section


def _rate(workshop: Workshop, name: str, port: int, kind: str, count: int) -> float:
    """Emails a second of one contender, in a process of its own."""
    command = python("-m", __name__, name, str(port), kind, str(count))
    with workshop.running(name, command, core=workshop.server_core) as job:
        workshop.await_(job, lambda: job.log.read_text().endswith("a second\n"), _LONGEST)
        return float(job.log.read_text().split()[-3])


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
        SenderState(campaigns, pauses, leads, deliveries, waits, AttemptLog(attempts, nothing)),  # type: ignore[arg-type]
        already_sent=nothing,  # type: ignore[arg-type]
        publish_links=nothing,  # type: ignore[arg-type]
    )
    began = time.perf_counter()
    left = [sends[first : first + SENDER.policy.batch] for first in range(0, len(sends), SENDER.policy.batch)]

    async def calls() -> None:  # as the stage's line makes them
        while left:
            results = await sender.send(left.pop(0))
            if not all(result.delivery for result in results):
                raise Wrong("an email was not delivered")

    await asyncio.gather(*(calls() for _ in range(SENDER.policy.calls)))
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


async def sink(port: int, extension: str) -> None:
    """Take mail as fast as it comes."""

    replies = {b"QUIT": b"221 bye\r\n", b"EHLO": f"250-sink\r\n250 {extension}\r\n".encode()}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while command := (await reader.readline())[:4].upper():
            if command == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(replies.get(command, b"250 ok\r\n"))

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=16_000_000)
    await server.serve_forever()


async def main(name: str, port: int, kind: str, count: int) -> None:
    """One contender."""
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, smtp_port=port, smtp_connections=CONNECTIONS, token_keys=f"1:{'k' * 32}"
    )
    size, named, _ = _KINDS[kind]
    sends = [
        a_send(lead=f"lead-{n}", html=newsletter(size, f"lead {n}" if named else "you"), requested_at=datetime.now(UTC))
        for n in range(count)
    ]
    print(f"{await (ours if name == 'ours' else bare)(settings, sends):.1f} a second")


if __name__ == "__main__":
    asyncio.run(
        sink(int(sys.argv[2]), sys.argv[3])
        if sys.argv[1] == "sink"
        else main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    )
