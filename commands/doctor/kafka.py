"""Is Kafka what our topics need? Replicas, what is in sync, limits, retention; who is behind; what was set aside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from commands.doctor.diagnosis import Diagnosis, Examination
from commands.doctor.lag import age, partition_lags
from schemas.settings import Settings
from schemas.topics import ALL, BROKER_TIME, DEAD, TIMESTAMP_TYPE, Topic
from stream.broker_state import BrokerState, TopicState, broker_state
from stream.topic_admin import topics_at_fault

# A stage is behind for as long as a burst of sends lasts; what waits for longer waits for somebody. Hits wait
# SENDLENS_SETTLE_SECONDS, 300 at the most, before they are judged.
_LATE_SECONDS, _STUCK_SECONDS = 600.0, 3600.0
_MOST_LETTERS = 1000  # of the newest dead letters whose reasons are counted
# What we are tried on (docs/cluster.md); flexible protocol versions and KRaft alone are older.
_OLDEST_KAFKA = (3, 0)


def kafka(given: Examination) -> Iterator[Diagnosis]:
    """The broker and our topics on it."""
    settings = given.settings
    state = broker_state(settings)
    version = tuple(int(part) for part in state.version.split(".") if part.isdigit())
    said = (
        f"{state.brokers} broker{'s' if state.brokers != 1 else ''}, speaks as {state.version or 'an unknown version'}"
    )
    if not settings.broker_in_memory and version and version < _OLDEST_KAFKA:
        yield Diagnosis("kafka", "warn", said, "we are tried on 3.0 and newer: upgrade")
    else:
        yield Diagnosis("kafka", "ok", f"{said}, {len(state.topics)} of {len(ALL)} topics")
    faults = [*_missing(settings, state), *_replicas(settings, state), *_configured(settings, state)]
    yield from faults or [Diagnosis("topics", "ok", "there, led, in sync, and as large as our records")]


def _missing(settings: Settings, state: BrokerState) -> Iterator[Diagnosis]:
    absent = [settings.topic(topic) for topic in ALL if topic not in state.topics]
    if absent:
        yield Diagnosis("topics", "fail", f"not there: {', '.join(absent)}", "run `sendlens migrate`")
    for topic, there in state.topics.items():
        expected, found = settings.partitions_of(topic), len(there.partitions)
        if found != expected:
            todo = f"set SENDLENS_PARTITIONS to {found}" if topic.partitions is None else "make the topic again"
            yield Diagnosis("topics", "fail", f"{settings.topic(topic)} has {found} partitions, not {expected}", todo)


def _replicas(settings: Settings, state: BrokerState) -> Iterator[Diagnosis]:
    """A fault that several topics have is one line that names them."""
    faults: dict[tuple[str, str, str], list[str]] = {}
    for topic, there in state.topics.items():
        for verdict, said, todo in _replica_faults(settings, there):
            faults.setdefault((verdict, said, todo), []).append(settings.topic(topic))
    for (verdict, said, todo), names in faults.items():
        yield Diagnosis("replicas", "fail" if verdict == "fail" else "warn", f"{', '.join(names)}: {said}", todo)
    if settings.mode == "cluster" and settings.replication < 2:
        yield Diagnosis(
            "replicas", "warn", "SENDLENS_REPLICATION is 1: one disk has the only copy of what was answered",
            "use three brokers and SENDLENS_REPLICATION=3",
        )  # fmt: skip


def _replica_faults(settings: Settings, there: TopicState) -> Iterator[tuple[str, str, str]]:
    fewest = min((part.replicas for part in there.partitions), default=0)
    least = int(there.config.get("min.insync.replicas", "1"))
    leaderless = [str(part.number) for part in there.partitions if part.leader is None]
    short = [part for part in there.partitions if part.in_sync < part.replicas]
    if leaderless:
        yield "fail", f"no leader for partitions {', '.join(leaderless)}", "start the brokers that have them"
    elif any(part.in_sync < least for part in there.partitions):
        yield "fail", f"fewer in sync than min.insync.replicas ({least}): nothing can be written", "start the brokers"
    elif short:
        yield "warn", f"{len(short)} partitions are not in sync everywhere", "see which broker is down or slow"
    if fewest < settings.replication:
        todo = f"reassign them to {settings.replication} brokers (kafka-reassign-partitions.sh)"
        yield "warn", f"{fewest} replica{'s' if fewest != 1 else ''}, not {settings.replication}", todo
    if settings.replication >= 3 and fewest >= 3 and least < 2:
        yield "warn", "min.insync.replicas is 1: a write is answered that one disk alone has", "set it to 2"


def _configured(settings: Settings, state: BrokerState) -> Iterator[Diagnosis]:
    for topic, there in state.topics.items():
        for said, todo in _config_faults(topic, there.config):
            yield Diagnosis("topics", "fail", f"{settings.topic(topic)} {said}", todo)


def _config_faults(topic: Topic, config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    limit = int(config.get("max.message.bytes", "0"))
    if 0 < limit < topic.record_bytes:
        yield f"takes records of {limit:,} bytes, not {topic.record_bytes:,}", "`sendlens migrate` raises it"
    wanted, policy = topic.config(), config.get("cleanup.policy", "")
    if policy and set(policy.split(",")) != set(wanted["cleanup.policy"].split(",")):
        todo = f"set it to {wanted['cleanup.policy']}, or what we know by key is lost or grows for ever"
        yield f"has cleanup.policy={policy}", todo
    if topic.broker_time and config.get(TIMESTAMP_TYPE, BROKER_TIME) != BROKER_TIME:
        said = f"has {TIMESTAMP_TYPE}={config[TIMESTAMP_TYPE]}: clocks of ours say what was first"
        yield said, "`sendlens migrate` sets it"
    kept, needed = int(config.get("retention.ms", "-1")), int(wanted.get("retention.ms", "-1"))
    if 0 <= kept < needed:
        yield f"keeps records for {kept // 3_600_000} hours", f"set retention.ms to {needed}"


def lag(given: Examination) -> Iterator[Diagnosis]:
    """What waits for each stage, and for how long."""
    now = time.time()
    found = partition_lags(given.settings, ages=True)
    for stage in dict.fromkeys(one.stage for one in found):
        behind = [one for one in found if one.stage == stage and one.lag]
        waits = now - min((one.oldest_at for one in behind if one.oldest_at is not None), default=now)
        said = f"{stage}: {sum(one.lag for one in behind):,} records wait, the oldest for {age(waits)}"
        todo = f"see that a worker runs {stage}, what it logs, and `sendlens lag --stage {stage}`"
        if waits > _STUCK_SECONDS:
            yield Diagnosis("lag", "fail", said, todo)
        elif waits > _LATE_SECONDS:
            yield Diagnosis("lag", "warn", said, todo)
    if all(now - (one.oldest_at or now) <= _LATE_SECONDS for one in found):
        yield Diagnosis("lag", "ok", f"{sum(one.lag for one in found):,} records wait, none for {age(_LATE_SECONDS)}")


def dead_letters(given: Examination) -> Iterator[Diagnosis]:
    """What could not be processed, by reason."""
    from commands.dead_letters import newest

    if topics_at_fault(given.settings):
        yield Diagnosis("dead letters", "warn", "not known while topics are missing", "see above")
        return
    count, letters = newest(given.settings, _MOST_LETTERS)
    if not count:
        yield Diagnosis("dead letters", "ok", "none")
        return
    reasons = Counter(f"{letter.dead.stage} {letter.dead.reason}" for letter in letters)
    most = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common(5))
    days = DEAD.retention_ms // 86_400_000
    todo = f"`sendlens dead list`; mend the cause, then `sendlens dead replay`; they are kept for {days} days"
    yield Diagnosis("dead letters", "warn", f"{count:,} ({most})", todo)


def unanswered(given: Examination) -> Iterator[Diagnosis]:
    """Emails that may have gone out or not: an operator decides."""
    from agents.sender.unanswered_emails import UnansweredEmails

    if topics_at_fault(given.settings):  # to wait for these would take a minute
        yield Diagnosis("unanswered", "warn", "not known while topics are missing", "see above")
        return
    with UnansweredEmails(given.settings) as emails:
        waiting = emails.list()
    if waiting:
        yield Diagnosis(
            "unanswered", "warn", f"{len(waiting):,} emails wait for your decision", "`sendlens unanswered list`"
        )
    else:
        yield Diagnosis("unanswered", "ok", "none")
