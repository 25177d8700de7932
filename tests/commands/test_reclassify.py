"""`sendlens reclassify` on the real engine: identical under the same rules, right under others, whenever it is killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from clickhouse.store import connect, insert_lines
from commands.reclassify import Reclassification, ReclassifyProgress
from decisions.clients.mail_clients import MailClients
from decisions.clients.naming import named
from decisions.robots.client_ip import ClientIp, keeper
from decisions.robots.networks import Networks
from decisions.robots.rejudging import judge_again
from decisions.robots.relay import RelayList
from decisions.robots.rules import Rules
from decisions.robots.user_agents import Agents, agent
from schemas.events import Clicked, Delivered, Hit, Opened, Sent, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id, event_id
from tests.support.migrated import migrated_database
from tests.support.processes import ROOT
from tests.support.stream import a_hit

# Of late, for hits are kept 90 days by ClickHouse's own clock.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)
END = DAY + timedelta(days=3)
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "curl/8.11.0",
    "",
]

CLIENTS = MailClients.load()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[tuple[Settings, Client]]:
    """A migrated database of the test's own, with three days of hits and their events."""
    with migrated_database(tmp_path, data_dir=tmp_path, token_keys="") as settings, connect(settings) as client:
        yield settings, client


def fill(settings: Settings, client: Client, rules: Rules, emails: int = 200) -> list[Hit]:
    """Deliveries, hits and events as sender, ingest, judge and store would leave them; some of it twice."""
    luck = random.Random(8058)
    hits: list[Hit] = []
    events: list[Sent | Delivered | Opened | Clicked] = []
    trap = settings.keyring.honeypots("spring")[0]
    for number in range(emails):
        lead = f"lead-{number}"
        id_ = str(delivery_id("spring", 1, lead))
        at = DAY + timedelta(seconds=luck.randrange(3 * 86_400 - 7_200))
        delivered = luck.random() < 0.9
        if delivered:
            email = {"at": at, "delivery_id": id_, "campaign": "spring", "step": 1, "variant": "A", "lead": lead}
            events.append(Delivered(id=id_, sender="a@example.com", **email))
            events.append(
                Sent(id=str(event_id(id_, "sent")), sender="a@example.com", recipient_domain="", message_id="", **email)
            )
        of_email = [
            a_hit(
                lead, kind=luck.choice(["open", "click"]), link_id=luck.choice(["a" * 64, "b" * 64, "c" * 64, trap]),
                at=at + timedelta(milliseconds=luck.choice([-500, 900, 4_000, 60_000, 61_000, 63_900, 1_200_000])),
                minted_at=at - timedelta(seconds=luck.choice([1, 3000])), user_agent=luck.choice(AGENTS),
            )
            for _ in range(luck.randrange(6))
        ]  # fmt: skip
        of_email.sort(key=lambda hit: (hit.at, hit.id))
        hits += of_email
        events += judge_again(
            of_email, at if delivered else None, rules, settle=settings.settle_seconds,
            scanner_window=timedelta(seconds=2), honeypots=settings.keyring.honeypots,
        )  # fmt: skip
    events = [named(one, CLIENTS, "DE", one.ip) if isinstance(one, Opened | Clicked) else one for one in events]
    insert_lines(client, "hits", lines(hits + hits[::3]))
    insert_lines(client, "events", lines(events))
    insert_lines(client, "events", lines(events[::4]))
    return hits


def numbers(client: Client) -> tuple[Any, ...]:
    """Everything that is counted."""
    outcomes = client.query("SELECT * FROM v_outcomes ORDER BY delivery_id").result_rows
    events = client.query("SELECT * EXCEPT stored_at FROM events FINAL ORDER BY id").result_rows
    return outcomes, events


def truth(client: Client) -> list[Any]:
    """Outcomes as a new materialised view would make them of today's events."""
    ((select, database),) = client.query(
        "SELECT as_select, database FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_from_events'"
    ).result_rows
    return list(
        client.query(
            f"SELECT {_columns(client)} FROM ({select.replace(f'{database}.events', f'{database}.events FINAL')}) ORDER BY delivery_id"
        ).result_rows
    )


def outcomes(client: Client) -> list[Any]:
    by_hits = "SELECT delivery_id, first_open_at, first_click_at, first_machine_open_at, first_raw_open_at FROM"
    counted = client.query(f"{by_hits} v_sent ORDER BY delivery_id").result_rows
    assert counted == client.query(f"{by_hits} v_outcomes WHERE sent_at IS NOT NULL ORDER BY delivery_id").result_rows
    return list(client.query(f"SELECT {_columns(client)} FROM outcomes FINAL ORDER BY delivery_id").result_rows)


def _columns(client: Client) -> str:
    """All of `outcomes`; sets in order."""
    described = client.query("DESCRIBE TABLE outcomes_from_events").result_rows
    return ", ".join(
        f"arraySort({name}) AS {name}" if kind.startswith("Array") else name for name, kind, *_ in described
    )


@pytest.fixture(scope="module")
def strict() -> Rules:
    """Other rules than today's: Firefox is a robot, and curl a person."""
    other = Agents(
        [
            ("curl", agent("human", "human", "curl", "curl")),
            ("GoogleImageProxy", agent("human", "bot", "mail-proxy", "Gmail")),
            ("@crawlers", agent("bot", "bot", "crawler-agent", "crawler")),
        ],
        ["Firefox"],
    )
    return Rules(other, Networks.load(), "strict")


def test_under_the_same_rules_every_number_stays_and_no_row_is_written(
    house: tuple[Settings, Client], rules: Rules
) -> None:
    settings, client = house
    hits = fill(settings, client, rules)
    before, rows = numbers(client), client.query("SELECT count() FROM events").result_rows
    done = Reclassification(settings, client, rules, lambda progress: None).run(DAY, END)
    assert (done.hits, done.changed, done.rebuilt) == (len(hits), 0, 0)
    assert numbers(client) == before
    assert client.query("SELECT count() FROM events").result_rows == rows
    reasons = {row[0] for row in client.query("SELECT DISTINCT reason FROM events FINAL").result_rows}
    assert {"too-quick", "before-delivery", "honeypot", "click-burst", "browser", "mail-proxy"} <= reasons


def test_when_apples_list_has_changed_the_hits_of_before_keep_their_verdicts(
    house: tuple[Settings, Client], rules: Rules
) -> None:
    """Some judged by the packaged list, some by one that was fetched; an address has changed hands since."""
    settings, client = house
    fetched, today = RelayList(["198.51.100.0/24"]), RelayList(["203.0.113.0/24"])
    events: list[Opened | Clicked] = []
    for number in range(40):
        ip = ("198.51.100.9", "203.0.113.9", "172.225.7.9")[number % 3]
        hit = a_hit(f"lead-{number}", user_agent="Mozilla/5.0", ip=ip, at=DAY + timedelta(hours=1))
        judged_by = rules.with_relay(fetched) if number % 2 else rules
        events += judge_again(
            [hit],
            None,
            judged_by,
            settle=5.0,
            scanner_window=timedelta(seconds=2),
            honeypots=settings.keyring.honeypots,
        )
        insert_lines(client, "hits", lines([hit]))
    events = [named(event, CLIENTS, "", event.ip) for event in events]
    insert_lines(client, "events", lines(events))
    before, rows = numbers(client), client.query("SELECT count() FROM events").result_rows
    assert {event.verdict for event in events} == {"machine", "bot"}
    assert {event.rules_version for event in events} == {rules.version, f"{rules.version}+{fetched.name}"}
    done = Reclassification(settings, client, rules.with_relay(today), lambda progress: None).run(DAY, END)
    assert (done.hits, done.changed, done.rebuilt) == (40, 0, 0)
    assert numbers(client) == before
    assert client.query("SELECT count() FROM events").result_rows == rows


def test_hits_that_an_older_release_stored_get_their_clients_and_a_country_that_is_recorded_stays(
    house: tuple[Settings, Client], rules: Rules
) -> None:
    settings, client = house
    hits = [
        a_hit(
            f"lead-{number}", user_agent=AGENTS[number % 2], ip=("192.0.2.7", "192.0.2.0/24")[number // 2 % 2], at=DAY
        )
        for number in range(8)
    ]
    events: list[Opened | Clicked] = []
    for number, hit in enumerate(hits):
        (event,) = judge_again(
            [hit], None, rules, settle=5.0, scanner_window=timedelta(seconds=2), honeypots=settings.keyring.honeypots,
        )  # fmt: skip
        events.append(replace(event, country="AT") if number < 2 else event)
    insert_lines(client, "hits", lines(hits))
    insert_lines(client, "events", lines(events))
    verdicts = "SELECT id, verdict, reason, rules_version FROM events FINAL ORDER BY id"
    before = client.query(verdicts).result_rows
    run = Reclassification(settings, client, rules, lambda progress: None, lambda ip: {"192.0.2.7": "DE"}[ip])
    done = run.run(DAY, END)
    assert (done.hits, done.changed) == (8, 8)
    assert client.query(verdicts).result_rows == before
    found = client.query("SELECT lead, client, device, country FROM events FINAL ORDER BY lead").result_rows
    names = (("Firefox", "desktop"), ("Gmail (proxy)", "unknown"))
    countries = ("AT", "AT", "", "", "DE", "DE", "", "")
    assert found == [(f"lead-{number}", *names[number % 2], countries[number]) for number in range(8)]
    counted = client.query(
        "SELECT client, uniqExact(id) FROM judged_hits FINAL GROUP BY client ORDER BY client"
    ).result_rows
    assert counted == [("Firefox", 4), ("Gmail (proxy)", 4)]


@pytest.mark.parametrize("today", ["full", "truncated"])
def test_a_network_that_was_recorded_stays_whatever_is_kept_of_addresses_today(
    house: tuple[Settings, Client], rules: Rules, strict: Rules, today: str
) -> None:
    """What was kept of an address is told by the hit, and not by the setting, which may have changed since."""
    settings, client = house
    kinds: tuple[ClientIp, ...] = ("none", "hashed", "truncated")
    addresses = ("40.94.20.1", "172.224.226.5", "192.0.2.7")
    for number, (then, ip) in enumerate(product(kinds, addresses)):
        kept = keeper(then, settings.keyring)
        assert kept is not None
        hit = a_hit(f"lead-{number}", ip=ip, at=DAY + timedelta(minutes=number))
        (event,) = judge_again(
            [hit], None, rules, settle=5.0, scanner_window=timedelta(seconds=2), honeypots=settings.keyring.honeypots,
        )  # fmt: skip
        insert_lines(client, "hits", lines([replace(hit, ip=kept(hit.ip))]))
        insert_lines(client, "events", lines([replace(event, ip=kept(hit.ip))]))
    networks = "SELECT network FROM events FINAL ORDER BY at"
    before = client.query(networks).result_rows
    assert before == [("Microsoft Defender",), ("Apple Private Relay",), ("",)] * len(kinds)
    later = settings.model_copy(update={"client_ip": today})
    done = Reclassification(later, client, strict, lambda progress: None).run(DAY, END)
    assert done.changed == len(before)
    assert client.query(networks).result_rows == before


def test_under_other_rules_the_numbers_are_theirs_and_the_way_back_leads_to_the_old_ones(
    house: tuple[Settings, Client], rules: Rules, strict: Rules
) -> None:
    settings, client = house
    hits = fill(settings, client, rules)
    before = numbers(client)
    done = Reclassification(settings, client, strict, lambda progress: None).run(DAY, END)
    assert done.changed == len(hits), "each event says by which rules it was judged"
    assert done.rebuilt > 0
    assert numbers(client) != before
    assert outcomes(client) == truth(client)
    assert client.query("SELECT count(), uniqExact(id) FROM events FINAL").result_rows[0][0] == len(before[1])
    Reclassification(settings, client, rules, lambda progress: None).run(DAY, END)
    assert numbers(client) == before


def test_only_the_hits_of_the_range_are_judged_again(
    house: tuple[Settings, Client], rules: Rules, strict: Rules
) -> None:
    settings, client = house
    fill(settings, client, rules)
    start, end = DAY + timedelta(days=1), DAY + timedelta(days=2)
    Reclassification(settings, client, strict, lambda progress: None).run(start, end)
    judged = "countIf(rules_version = 'strict' AND NOT (at >= %(a)s AND at < %(b)s)), countIf(rules_version = 'strict')"
    ((outside, inside),) = client.query(
        f"SELECT {judged} FROM events FINAL WHERE kind IN ('open', 'click')", parameters={"a": start, "b": end}
    ).result_rows
    assert outside == 0
    assert inside > 0
    assert outcomes(client) == truth(client)


@pytest.mark.parametrize(
    "step",
    [
        "commands.reclassify.insert_lines",
        "commands.reclassify.Reclassification._rebuild",
        "clickhouse.rebuild.recounted",
        "clickhouse.rebuild._through_view",
        "clickhouse.counting._run",
        "commands.reclassify.Reclassification._remember",
    ],
)
def test_a_run_that_dies_anywhere_is_finished_by_the_next(
    house: tuple[Settings, Client], rules: Rules, strict: Rules, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, client = house
    hits = fill(settings, client, rules)

    class Killed(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    seen: list[ReclassifyProgress] = []

    def die_in_the_second_piece(progress: ReclassifyProgress) -> None:
        seen.append(progress)
        monkeypatch.setattr(step, die)

    with pytest.raises(Killed):
        Reclassification(settings, client, strict, die_in_the_second_piece).run(DAY, END)
    monkeypatch.undo()
    assert len(seen) == 1
    again: list[ReclassifyProgress] = []
    done = Reclassification(settings, client, strict, again.append).run(DAY, END)
    assert again[0].done_until > seen[0].done_until, "it goes on where the first one was"
    assert done.hits == len(hits)
    assert outcomes(client) == truth(client)
    assert client.query(
        "SELECT countIf(rules_version != 'strict') FROM events FINAL WHERE kind IN ('open', 'click')"
    ).result_rows == [(0,)]


def test_a_hit_that_was_never_judged_counts_from_now_on(house: tuple[Settings, Client], rules: Rules) -> None:
    settings, client = house
    insert_lines(client, "hits", lines([a_hit("alone", at=DAY)]))
    assert Reclassification(settings, client, rules, lambda progress: None).run(DAY, END).changed == 1
    assert client.query("SELECT countIf(first_open_at IS NOT NULL) FROM v_outcomes").result_rows == [(1,)]


def test_the_command_says_what_it_did_and_refuses_what_is_too_young(
    house: tuple[Settings, Client], rules: Rules
) -> None:
    settings, client = house
    hits = fill(settings, client, rules, emails=20)
    environment = os.environ | {
        "SENDLENS_CLICKHOUSE_URL": settings.clickhouse_url,
        "SENDLENS_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "SENDLENS_DATA_DIR": str(settings.data_dir),
    }

    def sendlens(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sendlens", "reclassify", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    first, end = f"{DAY:%Y-%m-%d}", f"{END:%Y-%m-%d}"
    done = sendlens("--from", first, "--to", end)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(hits)} hits by rules {rules.version}: 0 changed, 0 emails rebuilt"
    assert sendlens("--from", first, "--to", "2999-01-01").returncode == 2
    assert sendlens("--from", end, "--to", first).returncode == 2
