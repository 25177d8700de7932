"""A law over every point at which a worker can be killed: each email that its mail server took is either sent and
delivered, or unanswered, and one that it refused is neither delivered nor unanswered."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from kafka import KafkaProducer

from agents.sender.stage import SenderStage
from schemas.events import AnyEvent, Campaign, Delivery, Send
from schemas.settings import Settings, load
from schemas.state.attempts import Attempt
from schemas.topics import ATTEMPTS, CAMPAIGNS, DELIVERIES, EVENTS, SENDS
from stream.records import OutRecord, Record
from stream.write_all import write_all
from tests.agents.mails import NOW
from tests.agents.sender.test_handover import a_send as a_request
from tests.agents.transport.smtp_server import Server
from tests.ingest.room import records
from tests.support.broker import Broker, create_topics

_decode = msgspec.json.Decoder(AnyEvent).decode
# An email's records, counted one by one: its attempt, its delivery, its events, its wait, the end of its attempt.
POINTS = range(5)
NEVER = 100


class Nothing:
    """A ClickHouse that has stored nothing yet."""

    async def ask(self, name: str, **parameters: object) -> Sequence[tuple[object, ...]]:
        return []

    def close(self) -> None:
        """There is nothing to close."""


class Life:
    """A worker's life, in which each email is written about so many times and no more, as if it were killed then."""

    def __init__(self, settings: Settings, lives: dict[str, int], reverse: bool = False) -> None:
        self._settings = settings
        self._left = dict(lives)
        self._reverse = reverse
        self._dead: set[str] = set()
        self._done: set[str] = set()
        self._changed = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all", enable_idempotence=False)

    async def write(self, out: Sequence[OutRecord], dead: Sequence[object] = ()) -> None:
        """Write as many as it lives to; of those of one call, which arrive in any order, the first or the last."""
        assert not dead
        for record in reversed(out) if self._reverse else out:
            delivery = record.key.decode()
            if not self._left[delivery]:
                self._dead.add(delivery)
                self._changed.set()
                await self._end  # cancelled with it
            self._left[delivery] -= 1
            topic = self._settings.topic(record.topic)
            written = self._producer.send(topic, record.value, record.key, partition=record.partition)
            await asyncio.to_thread(written.get, 30)

    async def live(self, sends: Sequence[Send]) -> None:
        """All these requests come once; then it is over."""
        sending = SenderStage(self._settings, Nothing())
        await sending.start(self.write)
        sending.assigned([])
        tasks = [asyncio.create_task(self._handle(sending, send)) for send in sends]
        async with asyncio.timeout(60):
            while self._dead | self._done != {send.delivery_id for send in sends}:
                await self._changed.wait()
                self._changed.clear()
        for task in tasks:
            task.cancel()
        self._end.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sending.interrupt()
        await sending.rest()
        await sending.stop()
        self._producer.close()

    async def _handle(self, sending: SenderStage, send: Send) -> None:
        handled = await sending.handle([Record(SENDS, 0, 0, b"", msgspec.json.encode(send), 0.0)])
        assert not handled.dead
        self._done.add(send.delivery_id)
        self._changed.set()


def told(settings: Settings) -> dict[str, Counter[str]]:
    """How many different events of each kind there are of each lead, each told with one content only."""
    contents: defaultdict[str, set[bytes]] = defaultdict(set)
    for record in records(settings, EVENTS):
        for line in record.value.splitlines():
            contents[str(_decode(line).id)].add(line)
    assert all(len(lines) == 1 for lines in contents.values()), "an event was told again otherwise"
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for lines in contents.values():
        event = msgspec.json.decode(next(iter(lines)))
        found[event["lead"]][event["kind"]] += 1
    return found


@pytest.fixture
def settings(broker: Broker, tmp_path: Path) -> Settings:
    """An installation with topics and a campaign, and as many connections as there are emails: the dead hold theirs."""
    settings = load(
        kafka=broker.bootstrap,
        topic_prefix=f"k{uuid4().hex[:8]}-",
        partitions=2,
        data_dir=tmp_path,
        smtp_connections=100,
    )
    create_topics(settings)
    campaign = msgspec.json.encode(Campaign(id="spring", name="Spring", created_at=NOW))
    write_all(settings, [OutRecord.keyed(settings, CAMPAIGNS, "spring", campaign)])
    return settings


@pytest.mark.parametrize("reverse", [False, True], ids=["as-written", "the-other-way-round"])
async def test_wherever_its_workers_die_what_became_of_an_email_is_told_once(settings: Settings, reverse: bool) -> None:
    deaths = {f"lead-{a}-{b}": (a, b) for a, b in itertools.product(POINTS, POINTS)}
    sends = [a_request(lead) for lead in deaths]
    async with Server() as server:
        settings = settings.model_copy(update={"smtp_port": server.port})
        for life in (0, 1, None, None):  # the last finds everything done
            lives = {send.delivery_id: NEVER if life is None else deaths[send.lead][life] for send in sends}
            await Life(settings, lives, reverse).live(sends)
        taken = Counter(address.partition("@")[0] for address in server.recipients())
    assert max(taken.values()) == 1
    outcomes = {lead: dict(kinds) for lead, kinds in told(settings).items()}
    assert outcomes.keys() == deaths.keys()
    sent, unanswered = {"sent": 1, "delivered": 1}, {"unanswered": 1}
    assert {lead: kinds for lead, kinds in outcomes.items() if kinds not in (sent, unanswered)} == {}
    assert all(taken[lead] == 1 for lead, kinds in outcomes.items() if kinds == sent)
    assert {kinds["sent"] for lead, kinds in outcomes.items() if lead.startswith("lead-4")} == {1}


@pytest.mark.parametrize(
    ("reply", "kinds"), [("550 5.1.1 no such user", "sent bounce"), ("451 4.7.1 wait", "deferred")]
)
async def test_what_its_server_refused_is_unanswered_only_where_nobody_wrote_so(
    settings: Settings, reply: str, kinds: str
) -> None:
    deaths = {f"lead-{point}": point for point in POINTS}
    sends = [a_request(lead) for lead in deaths]
    async with Server() as server:
        settings = settings.model_copy(update={"smtp_port": server.port})
        for send in sends:
            server.at_rcpt[send.to].extend([reply] * 3)
        await Life(settings, {send.delivery_id: deaths[send.lead] for send in sends}).live(sends)
        await Life(settings, {send.delivery_id: NEVER for send in sends}).live(sends)
        assert server.mails == []
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in records(settings, EVENTS):
        for line in record.value.splitlines():
            event = msgspec.json.decode(line)
            found[event["lead"]].add(event["kind"])
    assert found.pop("lead-1") == {"unanswered"}
    assert set(map(frozenset, found.values())) == {frozenset(kinds.split())}


async def test_a_delivery_whose_attempt_is_open_is_told_again(settings: Settings) -> None:
    send = a_request("lead-1")
    attempt = Attempt(
        delivery_id=send.delivery_id, request_id=send.request_id, attempt=1, at=NOW, sender="news@example.com",
        message_id="m@example.com",
    )  # fmt: skip
    delivery = Delivery(delivery_id=send.delivery_id, request_id=send.request_id, at=NOW)
    for topic, record in ((ATTEMPTS, attempt), (DELIVERIES, delivery)):
        write_all(settings, [OutRecord.keyed(settings, topic, send.delivery_id, msgspec.json.encode(record))])
    await Life(settings, {send.delivery_id: NEVER}).live([send])
    assert told(settings) == {"lead-1": Counter(sent=1, delivered=1)}
