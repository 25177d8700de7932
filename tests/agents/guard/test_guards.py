"""Two guards side by side, each with partitions of its own: together they decide as one, and one takes over for the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.tokens import delivery_id
from schemas.topics import delivery_partition
from tests.agents.guard.guarded import Watched, address, bounced, leads, sent, watching
from tests.support.broker import Broker
from tests.support.processes import Process, free_port, start
from tests.support.stream import running_stream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

EMAILS = 60
PATIENCE = 90.0


@pytest.fixture
def pair(broker: Broker, tmp_path: Path) -> Iterator[tuple[Watched, list[Process]]]:
    """A stream with a store and two guards, both of which have partitions."""
    with running_stream(tmp_path, broker) as stream, watching(stream) as watched:
        stream.start_worker("--stage", "store")
        ports = free_port(), free_port()
        guards = []
        for number, port in enumerate(ports):
            env = stream.environment | {"SENDLENS_WORKER_METRICS_PORT": str(port)}
            guards.append(start(["-m", "sendlens", "work", "--stage", "guard"], tmp_path / f"guard-{number}.log", env))
        stream.workers += guards
        watched.declare("warm")

        def both_work() -> bool:
            watched.happen_at_once(*(sent("warm", lead) for lead in one_of_each(watched)))
            return all(handled(port) > 0 for port in ports)

        wait_until(both_work, PATIENCE, "both guards to have partitions")
        yield watched, guards


def handled(port: int) -> float:
    """Records that a guard has handled."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return 0.0
    found = re.search(r'^sendlens_records_handled_total\{stage="guard"\} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def one_of_each(watched: Watched, campaign: str = "warm") -> list[str]:
    """A lead for each partition: bounces of theirs come to both guards."""
    count = watched.stream.settings.partitions
    found: dict[int, str] = {}
    for lead in leads(EMAILS):
        found.setdefault(delivery_partition(str(delivery_id(campaign, 1, lead)), count), lead)
    assert len(found) == count
    return list(found.values())


def bounce_in_each(watched: Watched, campaign: str) -> list[str]:
    """Sixty emails, of which one in each of four partitions bounces: a guard that sees two pauses for none of them."""
    gone = one_of_each(watched, campaign)
    assert len(gone) / 2 / EMAILS < 0.05 < len(gone) / EMAILS
    watched.declare(campaign)
    watched.happen_at_once(*(sent(campaign, lead) for lead in leads(EMAILS)))
    watched.stream.wait_until_drained(PATIENCE)  # stored, so that both know of all sixty
    watched.happen_at_once(*(bounced(campaign, lead) for lead in gone))
    return gone


def expect_all_of_it(watched: Watched, campaign: str, gone: list[str]) -> None:
    watched.wait_for_pause(campaign, PATIENCE)
    watched.stream.wait_until_drained(PATIENCE)
    for lead in gone:
        wait_until(lambda one=lead: watched.holds(one, "invalid"), PATIENCE, f"the fact of {lead}")  # type: ignore[misc]
        hashed = address(lead)
        wait_until(lambda one=hashed: watched.holds(one, "invalid", of="address"), PATIENCE, "the address's fact")  # type: ignore[misc]
    pauses = watched.paused_events(campaign)
    assert len({event.id for event in pauses}) == 1
    assert (pauses[-1].sent, pauses[-1].hard_bounced) == (EMAILS, len(gone))


def test_what_each_sees_a_half_of_pauses_a_campaign_once(pair: tuple[Watched, list[Process]]) -> None:
    watched, _ = pair
    expect_all_of_it(watched, "together", bounce_in_each(watched, "together"))


def test_when_one_is_killed_the_other_does_all_of_it(pair: tuple[Watched, list[Process]]) -> None:
    watched, guards = pair
    gone = bounce_in_each(watched, "inherited")
    guards[0].kill()
    expect_all_of_it(watched, "inherited", gone)
    assert guards[1].popen.poll() is None
