"""The dead-letter topic for people: what stands there, one letter whole, and records put back where they came from.

A letter's number is its offset in the topic `dead`. Replaying writes the original record again to its topic and
partition: every stage takes it as a duplicate, which changes no number, so a replay may be repeated. What is still
poison comes back as a new letter.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from schemas.errors import UNREADABLE
from schemas.settings import Settings
from schemas.state.dead_records import Dead
from schemas.text import escaped
from schemas.topics import ALL, DEAD, DELIVERIES, HITS
from stream.records import OutRecord
from stream.tail import TailReader
from stream.write_all import write_all

log = structlog.get_logger()

_SHOWN = 12  # numbers of a group that `list` names
# The judge knows a delivery's time for as long as the topic keeps it; a hit that is judged later is judged worse.
_JUDGED_WELL_FOR = timedelta(milliseconds=DELIVERIES.retention_ms)

_TOPICS = {topic.name: topic for topic in ALL}

_decode = msgspec.json.Decoder(Dead).decode


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the topic `dead` and its offset there."""

    number: int
    dead: Dead

    @property
    def value(self) -> bytes:
        return base64.b64decode(self.dead.value)

    @property
    def record(self) -> OutRecord:
        """The record as it was. Raises KeyError when its topic is no more."""
        key = base64.b64decode(self.dead.key)
        return OutRecord(_TOPICS[self.dead.topic], self.dead.partition, key, self.value)

    @property
    def place(self) -> str:
        return f"{self.dead.topic}/{self.dead.partition}/{self.dead.offset}"


@dataclass(slots=True)
class ReplayReport:
    """What a replay wrote, or would: letters put back, and for each left alone the reason why."""

    written: list[DeadLetter] = field(default_factory=list)
    left: list[tuple[DeadLetter, str]] = field(default_factory=list)

    def report(self, done: str) -> Iterator[str]:
        """A line for each letter; `done` is the word for what was written."""
        for letter in self.written:
            yield f"{done}: {letter.number} to {letter.dead.topic}/{letter.dead.partition}"
        for letter, why in self.left:
            yield f"left alone: {letter.number} ({why})"


def letters(settings: Settings) -> list[DeadLetter]:
    """Every letter, oldest first. Raises Retry when the broker can't be reached."""
    with TailReader(settings, DEAD) as tail:
        return list(_read(tail, tail.starts()))


def newest(settings: Settings, most: int) -> tuple[int, list[DeadLetter]]:
    """How many letters stand in the topic, and the newest of them, so many at the most. Raises Retry."""
    with TailReader(settings, DEAD) as tail:
        starts, ends = tail.starts(), tail.ends()
        found = list(_read(tail, {part: max(starts[part], ends[part] - most) for part in starts}))
        # Where the topic ends, as it is listed, may be too low by a batch.
        return max([len(found), *(found[-1].number + 1 - start for start in starts.values() if found)]), found


def _read(tail: TailReader, starts: Mapping[int, int]) -> Iterator[DeadLetter]:
    for record in tail.read(starts):
        try:
            yield DeadLetter(record.offset, _decode(record.value))
        except UNREADABLE as error:
            log.warning("a record of topic dead is no letter", number=record.offset, why=str(error))


def chosen(
    all_letters: Iterable[DeadLetter], numbers: Collection[int] = (), stage: str = "", reason: str = ""
) -> list[DeadLetter]:
    """The letters with one of these numbers (any when none is named), of this stage and for this reason."""
    return [
        letter
        for letter in all_letters
        if (not numbers or letter.number in numbers)
        and stage in ("", letter.dead.stage)
        and reason in ("", letter.dead.reason)
    ]


def summary(all_letters: Iterable[DeadLetter]) -> Iterator[str]:
    """A line for each stage, topic and reason, the most frequent first: how many, since when, and their numbers."""
    groups: dict[tuple[str, str, str], list[DeadLetter]] = {}
    for letter in all_letters:
        groups.setdefault((letter.dead.stage, letter.dead.topic, letter.dead.reason), []).append(letter)
    for (stage, topic, reason), group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        first, last = (f"{letter.dead.at:%Y-%m-%d %H:%M:%S}" for letter in (group[0], group[-1]))
        numbers = ", ".join(f"{letter.number} at {letter.place}" for letter in group[-_SHOWN:])
        more = f"... {numbers}" if len(group) > _SHOWN else numbers
        yield f"{len(group):>6}  {stage}: {reason} ({topic})  {first} to {last} UTC  {more}"


def shown(letter: DeadLetter) -> str:
    """One letter whole, as JSON that is harmless to show, its record decoded: objects where a line is one, else text,
    else base64."""
    dead = msgspec.to_builtins(letter.dead)
    key = base64.b64decode(letter.dead.key)
    whole = json.dumps(
        {
            "number": letter.number,
            **{name: dead[name] for name in ("stage", "topic", "partition", "offset", "reason", "detail", "at")},
            "key": _decoded(key),
            "value": [_decoded(line) for line in letter.value.split(b"\n") if line.strip()] or _decoded(letter.value),
        },
        indent=2,
        ensure_ascii=False,
    )
    return escaped(whole)


def replay(settings: Settings, some: Iterable[DeadLetter], *, dry_run: bool, late: bool, now: datetime) -> ReplayReport:
    """Write each letter's record again to the topic and partition that it came from.

    A record that both judge and store complained of is written once; lines of one that were set aside alone, each.
    Hits older than deliveries are kept are left alone unless `late`: the judge no longer knows when their emails were
    delivered. Raises Retry when the broker did not take them all; some may have been written, and replaying them again
    is harmless.
    """
    result = ReplayReport()
    seen: set[tuple[str, str]] = set()
    for letter in some:
        topic = _TOPICS.get(letter.dead.topic)
        if topic is None:
            result.left.append((letter, f"there is no topic {letter.dead.topic} any more"))
        elif letter.dead.partition >= settings.partitions_of(topic):
            result.left.append((letter, f"the topic {topic.name} has no partition {letter.dead.partition} any more"))
        elif (letter.place, letter.dead.value) in seen:
            result.left.append((letter, "the same record as an earlier letter's"))
        elif topic is HITS and now - letter.dead.at > _JUDGED_WELL_FOR and not late:
            result.left.append((letter, "hits of more than two days ago, judged without their delivery's time: --late"))
        else:
            seen.add((letter.place, letter.dead.value))
            result.written.append(letter)
    if not dry_run:
        write_all(settings, (letter.record for letter in result.written))
    return result


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}
