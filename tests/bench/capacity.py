"""`python -m tests.bench.capacity`: what a million emails a month cost ClickHouse, measured on a sample and multiplied.

The sample is a month of emails as they are in the field: most opened by a machine or a person, some clicked, few
bounced, each event with identifiers of real length and no two alike. It goes through the store's own insert and is
counted ahead. Disk is what parts take once merges are done; processor time and memory are the engine's.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clickhouse_connect.driver.client import Client

from clickhouse.counting import roll
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Bounced, Clicked, Delivered, Hit, Opened, Replied, Sent, lines
from schemas.settings import load
from schemas.state.attempts import Attempt
from schemas.tokens import Claim, Keyring, Purpose, delivery_id, event_id
from tests.support.migrated import start_migrated

MILLION = 1_000_000
_BATCH = 5_000  # emails of one insert, as the store's are under load
_KEYS = "1:0123456789abcdef0123456789abcdef"
_AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
    for version in range(110, 140)
]
_TABLES = """
SELECT t.name, sum(p.rows), sum(p.bytes_on_disk), any(extract(t.engine_full, 'TTL .*toInterval(\\w+\\(\\d+\\))'))
FROM system.tables AS t
INNER JOIN system.parts AS p ON p.database = t.database AND p.table = t.name AND p.active
WHERE t.database = currentDatabase()
GROUP BY t.name
ORDER BY sum(p.bytes_on_disk) DESC
"""
_TICK = os.sysconf("SC_CLK_TCK")


def emails(count: int, until: datetime) -> Iterator[tuple[list[AnyEvent], list[Hit], Attempt]]:
    """So many emails of the month before `until`, with what became of each."""
    chance, keys = random.Random(7), Keyring.parse(_KEYS)
    for number in range(count):
        at = until - timedelta(days=30) + timedelta(days=30) * number / count
        campaign, step, lead = (
            f"campaign-{number * 20 // count}",
            1 + number % 3,
            f"{uuid.UUID(int=chance.getrandbits(128))}",
        )
        delivery = delivery_id(campaign, step, lead)
        claim = Claim(delivery, campaign, step, "AB"[number % 2], lead, int(at.timestamp()))
        of = {"delivery_id": str(delivery), "campaign": campaign, "step": step, "variant": claim.variant, "lead": lead}
        domain = f"company-{int(chance.paretovariate(0.6)) % 40_000}.example"
        message_id, sender = f"<{keys.sign(Purpose.MESSAGE, claim)}@example.net>", f"sender-{number % 25}@example.net"

        def one(kind: str, after: float, of: dict[str, object] = of, at: datetime = at) -> dict[str, object]:
            return {
                **of,
                "id": str(event_id(str(of["delivery_id"]) + str(after), kind)),
                "at": at + timedelta(seconds=after),
            }

        events: list[AnyEvent] = [
            Sent(
                **one("sent", 0), sender=sender, recipient_domain=domain, message_id=message_id,
                address=keys.address_ids(f"{lead}@{domain}")[0], request_id=str(uuid.UUID(int=chance.getrandbits(128))),
            ),
            Delivered(**one("delivered", 1), sender=sender),
        ]  # fmt: skip
        hits = []
        for verdict, share, clicks in (("machine", 0.45, 0.0), ("human", 0.35, 0.12), ("bot", 0.10, 0.6)):
            if chance.random() < share:
                agent, ip = (
                    chance.choice(_AGENTS),
                    f"{chance.getrandbits(8)}.{chance.getrandbits(8)}.{chance.getrandbits(8)}.9",
                )
                judged = {
                    "verdict": verdict,
                    "reason": f"{verdict}-rule",
                    "rules_version": "1",
                    "user_agent": agent,
                    "ip": ip,
                }
                after = round(chance.expovariate(1 / 20_000), 3)
                events.append(Opened(**one("open", after), **judged))
                hits.append(Hit(**one("hit", after), kind="open", minted_at=at, user_agent=agent, ip=ip))
                if chance.random() < clicks:
                    link = keys.link_id(campaign, f"https://example.com/{chance.randrange(5)}")
                    events.append(Clicked(**one("click", after + 5), **judged, link_id=link))
                    hits.append(
                        Hit(
                            **one("hit-click", after), kind="click", minted_at=at, link_id=link, user_agent=agent, ip=ip
                        )
                    )
        if chance.random() < 0.02:
            said = f"550 5.1.1 <{lead}@{domain}>: user unknown"
            events.append(
                Bounced(
                    **one("bounce", 60),
                    sender=sender,
                    bounce_class="hard",
                    category="unknown-user",
                    status="5.1.1",
                    diagnostic=said,
                )
            )
        if chance.random() < 0.02:
            events.append(
                Replied(
                    **one("reply", 9000),
                    sender=sender,
                    message_id=message_id,
                    matched_by="token",
                    subject="Re: Hello",
                    text="Yes, " * 40,
                )
            )
        yield events, hits, Attempt(
            delivery_id=str(delivery), request_id=str(uuid.uuid4()), attempt=1, at=at, sender=sender,
            message_id=message_id, outcome="delivered",
        )  # fmt: skip


def measure(count: int, folder: Path) -> list[str]:
    """Insert the sample, and tell what it costs, a line each, multiplied to a million emails."""
    server = start_migrated(folder / "clickhouse")
    try:
        with connect(load(clickhouse_url=server.url, token_keys=_KEYS)) as client:
            before, json, many = _cpu(server.pid), 0, MILLION / count
            waiting: list[tuple[list[AnyEvent], list[Hit], Attempt]] = []
            peak = 0

            def store() -> None:
                nonlocal json, peak
                told = lines([event for events, _, _ in waiting for event in events])
                raw = lines([hit for _, hits, _ in waiting for hit in hits])
                json += len(told) + len(raw)
                insert_lines(client, "events", told)
                insert_lines(client, "hits", raw)
                insert_lines(client, "attempts", lines([attempt for _, _, attempt in waiting]))
                peak = max(peak, server.resident_bytes())
                waiting.clear()

            for email in emails(count, datetime.now(UTC).replace(microsecond=0)):
                waiting.append(email)
                if len(waiting) == _BATCH:
                    store()
            if waiting:
                store()
            while roll(client):
                pass
            spent = _cpu(server.pid) - before
            for table, *_ in _tables(client):
                client.command(f"OPTIMIZE TABLE {table} FINAL")
            found = _tables(client)
    finally:
        server.stop()
    told = [f"{'table':<22}{'rows':>14}{'MB':>9}  kept"]
    told += [
        f"{name:<22}{rows * many:>14,.0f}{size * many / 1e6:>9,.0f}  {kept or 'for ever'}"
        for name, rows, size, kept in found
        if size * many > 1e6
    ]
    stays, goes = (
        sum(size for _, _, size, kept in found if bool(kept) == passes) * many / 1e6 for passes in (False, True)
    )
    told.append(
        f"a million emails, measured on {count:,}: {stays:,.0f} MB that stay, {goes:,.0f} MB that go by themselves"
    )
    told.append(f"ClickHouse: {spent * many / 60:,.1f} minutes of one core, at most {peak / 1e6:,.0f} MB of memory")
    told.append(
        f"Kafka: {json * many / 1e6:,.0f} MB of hits and events before compression, kept 7 days, times replicas"
    )
    return told


def _tables(client: Client) -> list[tuple[str, int, int, str]]:
    """Each table with rows, the largest first: its name, rows, bytes on disk, and for how long rows are kept."""
    return [
        (str(name), int(rows), int(size), str(kept)) for name, rows, size, kept in client.query(_TABLES).result_rows
    ]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capacity", description=__doc__)
    parser.add_argument("--emails", type=int, default=100_000, help="of the sample (default 100,000)")
    with tempfile.TemporaryDirectory(prefix="sendlens-capacity-") as folder:
        print("\n".join(measure(parser.parse_args().emails, Path(folder))))


if __name__ == "__main__":
    main()
