"""What a guard counts that is handed some of the partitions, while nothing is stored: all of it, or it says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agents.guard.ahead_of_store import AheadOfStore
from agents.guard.guard import Guard
from schemas.events import CampaignPaused, Event
from schemas.tokens import delivery_id
from schemas.topics import EVENTS, delivery_partition
from stream.records import OutRecord
from tests.agents.guard.guarded import PATIENCE, Watched, bounced, leads, records, sent, watching, written
from tests.support.broker import Broker
from tests.support.stream import running_stream
from tests.support.waiting import until, wait_until

EMAILS = 60
OURS = 0  # the partition that the guard is handed; three others are another's


@pytest.fixture(scope="module")
def unstored(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A stream without a store, shared: each test has a campaign of its own."""
    with running_stream(tmp_path_factory.mktemp("counts"), broker) as stream, watching(stream) as watched:
        yield watched


def by_partition(watched: Watched, campaign: str) -> dict[int, list[str]]:
    """The campaign's leads, by the partition that their events go to."""
    found: dict[int, list[str]] = {}
    for lead in leads(EMAILS):
        number = delivery_partition(str(delivery_id(campaign, 1, lead)), watched.stream.settings.partitions)
        found.setdefault(number, []).append(lead)
    return found


@asynccontextmanager
async def a_guard_of_one_partition(watched: Watched) -> AsyncIterator[tuple[Guard, list[OutRecord]]]:
    out: list[OutRecord] = []

    async def write(some: object) -> None:
        out.extend(some)  # type: ignore[arg-type]

    guard = Guard(watched.stream.settings)
    await guard.start(write)
    guard.assigned({(EVENTS.name, OURS)})
    try:
        yield guard, out
    finally:
        await guard.stop()


async def happen(watched: Watched, *events: Event) -> None:
    await asyncio.to_thread(watched.happen_at_once, *events)


def pauses(out: list[OutRecord]) -> list[CampaignPaused]:
    return [msgspec.json.decode(value, type=CampaignPaused) for value in written(out, EVENTS)]


async def test_a_part_that_is_over_the_limit_pauses_nothing_while_all_of_it_is_not(unstored: Watched) -> None:
    campaign = "in-part"
    await asyncio.to_thread(unstored.declare, campaign, bounce_min_sends=5)
    of = by_partition(unstored, campaign)
    ours, others = of[OURS], [lead for number, some in of.items() if number != OURS for lead in some]
    emails, gone = [sent(campaign, lead) for lead in ours], [bounced(campaign, lead) for lead in ours[:3]]
    assert 0.05 * len(ours) < 2
    assert 0.05 * EMAILS >= 3
    await happen(unstored, *(sent(campaign, lead) for lead in others), *emails, *gone)
    async with a_guard_of_one_partition(unstored) as (guard, out):
        await guard.handle(records(*emails, *gone))
        assert pauses(out) == []
        await happen(unstored, bounced(campaign, others[0]))  # the other guard's
        await guard.handle(records(gone[0]))
        (event,) = pauses(out)
        assert (event.sent, event.hard_bounced) == (EMAILS, 4)


async def test_what_each_guard_sees_a_part_of_pauses_before_it_is_stored(unstored: Watched) -> None:
    campaign = "together"
    await asyncio.to_thread(unstored.declare, campaign, bounce_min_sends=5, bounce_limit=0.1)
    of = by_partition(unstored, campaign)
    emails = {number: [sent(campaign, lead) for lead in some] for number, some in of.items()}
    gone = {
        number: [bounced(campaign, lead) for lead in some[: 1 if number == OURS else 2]] for number, some in of.items()
    }
    assert 0.1 * len(of[OURS]) >= 1
    assert sum(map(len, gone.values())) == 7
    await happen(unstored, *(one for some in (*emails.values(), *gone.values()) for one in some))
    async with a_guard_of_one_partition(unstored) as (guard, out), asyncio.timeout(PATIENCE):
        await guard.handle(records(*emails[OURS], *gone[OURS]))
        await until(lambda: pauses(out))
        assert (pauses(out)[0].sent, pauses(out)[0].hard_bounced) == (EMAILS, 7)


async def test_sends_of_another_guard_that_make_up_the_number_pause_too(unstored: Watched) -> None:
    """One bounce of five emails, and too few for a pause; then the other guard's emails come."""
    campaign = "young"
    await asyncio.to_thread(unstored.declare, campaign, bounce_min_sends=EMAILS, bounce_limit=0.01)
    of = by_partition(unstored, campaign)
    ours, others = of[OURS], [lead for number, some in of.items() if number != OURS for lead in some]
    await happen(unstored, *(sent(campaign, lead) for lead in ours))
    async with a_guard_of_one_partition(unstored) as (guard, out):
        await guard.handle(records(*(sent(campaign, lead) for lead in ours[:-1])))  # nothing bounced yet
        await happen(unstored, *(sent(campaign, lead) for lead in others), bounced(campaign, others[0]))
        assert pauses(out) == []
        await guard.handle(records(sent(campaign, ours[-1])))
        await until(lambda: pauses(out), PATIENCE)
        assert (pauses(out)[0].sent, pauses(out)[0].hard_bounced) == (EMAILS, 1)


async def test_when_the_store_is_far_behind_a_pause_says_that_its_counts_are_a_part(unstored: Watched) -> None:
    campaign = "behind"
    await asyncio.to_thread(unstored.declare, campaign, bounce_min_sends=5)
    ours = by_partition(unstored, campaign)[OURS]
    emails, gone = [sent(campaign, lead) for lead in ours], [bounced(campaign, lead) for lead in ours[:2]]
    for email in emails:
        await asyncio.to_thread(unstored.happen, email)
    async with a_guard_of_one_partition(unstored) as (guard, out):
        guard._ahead = AheadOfStore(unstored.stream.settings, most=len(emails) - 1)
        await guard.handle(records(*emails, *gone))
        (event,) = pauses(out)
    assert (event.sent, event.hard_bounced) == (len(ours), 2)
    assert event.detail.endswith("(of those known so far: the store is far behind)")


def test_ahead_of_the_store_is_what_it_has_not_acknowledged_and_nothing_else(broker: Broker, tmp_path: Path) -> None:
    with running_stream(tmp_path, broker) as stream, watching(stream) as watched:
        stream.write(EVENTS, b"no event\nat all")
        watched.happen_at_once(*(sent("spring", lead) for lead in leads(EMAILS)), bounced("spring", "lead-0"))
        watched.happen(bounced("spring", "lead-1", "soft"))
        ahead = AheadOfStore(stream.settings)
        try:
            found = ahead.read()
            assert found is not None
            assert {id_ for id_, _ in found.sent["spring"]} == {
                str(delivery_id("spring", 1, lead)) for lead in leads(EMAILS)
            }
            assert found.hard["spring"] == [str(delivery_id("spring", 1, "lead-0"))]
            stream.start_worker("--stage", "store")
            stream.wait_until_drained()
            wait_until(lambda: ahead.read() is not None, PATIENCE, "an answer")
            assert ahead.read() == type(found)()
            watched.happen_at_once(sent("spring", "late"))
            found = ahead.read()
            assert found is not None
            assert [id_ for id_, _ in found.sent["spring"]] in ([str(delivery_id("spring", 1, "late"))], [])
        finally:
            ahead.close()
