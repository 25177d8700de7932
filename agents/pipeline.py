"""The map of the stream, as data: who takes what, decides what, and gives what.

Read this table and you know the system. `agents/runtime/wiring.py` turns each row into a Faust app of its own, so
that each stage has its own consumer group: its lag is the stage's lag, and it scales alone (`sendlens work --stage
NAME`).
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.topics import (
    ATTEMPTS,
    CALLS,
    CAMPAIGNS,
    DEAD,
    DELIVERIES,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    MAIL,
    PAUSES,
    PREVIEWS,
    RETRIES,
    SENDS,
    WEBHOOKS,
    Topic,
)


@dataclass(frozen=True)
class BatchPolicy:
    """How a stage batches the records it reads, and how many it may have in flight.

    `settle`: each record waits until the stage's settle delay has passed since it was written. `wait`: seconds that
    records may wait for others. `batch`: records of one call at the most. `calls`: calls under way at once; they are
    acknowledged in order all the same. `max_in_flight`: unacknowledged records before the stage stops reading
    (back-pressure).
    """

    batch: int
    max_in_flight: int
    settle: bool = False
    wait: bool = False
    calls: int = 1


@dataclass(frozen=True)
class Stage:
    """One row of the map.

    `carried`: what it has not acknowledged goes along to the next broker in memory, and is not waited for: it may take
    days.
    """

    name: str
    takes: tuple[Topic, ...]
    decides: str
    gives: tuple[Topic, ...]
    policy: BatchPolicy
    carried: bool = False


SENDER = Stage(
    name="sender",
    takes=(SENDS,),
    decides="may this email go out? instruments it and hands it to the mail server",
    gives=(LINKS, ATTEMPTS, DELIVERIES, EVENTS, RETRIES, DEAD),
    policy=BatchPolicy(batch=50, max_in_flight=500, calls=4),
    carried=True,  # a mail server may be away, or be given a few emails an hour
)
JUDGE = Stage(
    name="judge",
    takes=(HITS,),
    decides="was this hit a person's, a robot's or a machine's?",
    gives=(EVENTS, DEAD),
    policy=BatchPolicy(batch=500, max_in_flight=20_000, settle=True),
)
READER = Stage(
    name="reader",
    takes=(MAIL,),
    decides="what is this mail, and of which email? a reply, an automatic one, a bounce, a complaint",
    gives=(EVENTS, DEAD),
    policy=BatchPolicy(batch=10, max_in_flight=60),  # a thousand mails at the most: three seconds
)
GUARD = Stage(
    name="guard",
    takes=(EVENTS,),
    decides="what follows? facts for which a lead gets no mail, and pauses of campaigns that bounce too much",
    gives=(PAUSES, LEADS, EVENTS, DEAD),
    policy=BatchPolicy(batch=500, max_in_flight=20_000),
)
STORE = Stage(
    name="store",
    takes=(HITS, EVENTS, CAMPAIGNS, PAUSES, LEADS, LINKS, PREVIEWS, ATTEMPTS, RETRIES, WEBHOOKS, CALLS),
    decides="nothing: inserts into the ClickHouse table of the topic's name",
    gives=(DEAD,),
    policy=BatchPolicy(batch=5_000, max_in_flight=20_000, wait=True),
)

WEBHOOK_STAGE = Stage(
    name="webhooks",
    takes=(EVENTS,),
    decides="who is to be told of this event? hands it over, and tries again what was not taken",
    gives=(CALLS, WEBHOOKS, EVENTS, DEAD),
    policy=BatchPolicy(batch=200, max_in_flight=5_000, calls=4),
)

STAGES = (SENDER, JUDGE, READER, GUARD, STORE, WEBHOOK_STAGE)
