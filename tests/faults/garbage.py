"""What is no record of ours, on every topic, while a load is served: it is set aside whole, and nothing else changes."""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Mapping
from functools import cache

import msgspec

from agents.pipeline import STAGES
from schemas.errors import UNREADABLE
from schemas.state.dead_records import Dead
from schemas.topics import ALL, DEAD, HITS, Topic
from tests.faults.load import Load
from tests.faults.works import Works
from tests.support.stream import a_hit

_CAMPAIGN = "garbage"
_LARGE = 5_000_000


@cache
def kinds() -> Mapping[str, bytes]:
    """Each kind by its name. What is large is cut to what a topic takes."""
    hit = msgspec.json.encode(a_hit("of-tomorrow", campaign=_CAMPAIGN))
    old = msgspec.json.encode(a_hit("of-1800", campaign=_CAMPAIGN)).replace(b'"at":"20', b'"at":"18', 1)
    chance = random.Random(7)
    return {
        "empty": b"",
        "blank-lines": b"\n\n\n",
        "zeros": bytes(100),
        "random": chance.randbytes(1000),
        "not-closed": b'{"id": "',
        "array": b"[]",
        "null": b"null",
        "number": b"42",
        "text": b'"text"',
        "not-utf8": b'{"id": "\xff\xfe"}',
        "nested": b"[" * 100_000,
        "nested-inside": b'{"id": "1", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "infinite": b'{"id": 1e400}',
        "wrong-types": b'{"id": 5, "kind": [], "at": "yesterday"}',
        "nothing-in-it": b"{}",
        "surrogate": b'{"id": "\\ud800", "kind": "open"}',
        "gzip": gzip.compress(b'{"id": "1"}', mtime=0),
        "unknown-kind": b'{"kind": "teleported", "version": 9, "id": "1", "at": "2031-01-01T00:00:00Z"}\n',
        "large": b'{"id": "' + b"x" * _LARGE + b'"}',
        "of-1800": old + b"\n",
        "of-tomorrow": hit[:-1] + b', "version": 9, "certainty": {"of": [1, 2]}}\n',
    }


# Nothing is in them, so nothing is set aside.
_SAYS_NOTHING = ("empty", "blank-lines")


def garbage(works: Works, load: Load, pause: float) -> None:
    """Every kind on every topic. A hit of 1800 is a hit. One of a later version is judged, and set aside by the store."""
    worker = works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    for topic in ALL:
        works.stream.write(topic, *_fitting(topic).values(), key=b"garbage")
    load.finish()
    works.stream.wait_until_drained(deadline=300)
    assert worker.popen.poll() is None, worker.output()[-3000:]
    assert not (left := _not_set_aside(works)), left
    for table, wanted in (("hits", {"of-1800"}), ("events", {"of-1800", "of-tomorrow"})):
        found = {lead for (lead,) in works.stream.ask(f"SELECT lead FROM {table} FINAL WHERE campaign = 'garbage'")}
        assert found == wanted, (table, found)


def _fitting(topic: Topic) -> dict[str, bytes]:
    room = topic.record_bytes - 2048
    return {name: value if len(value) <= room else value[: room - 2] + b'"}' for name, value in kinds().items()}


def _not_set_aside(works: Works) -> dict[str, list[str]]:
    """Of each topic that a stage takes, what no stage has set aside, by its name."""
    aside: dict[str, set[bytes]] = {}
    for value in works.stream.read(DEAD):
        try:
            letter = msgspec.json.decode(value, type=Dead)
        except UNREADABLE:
            continue  # the garbage of this topic itself
        aside.setdefault(letter.topic, set()).add(base64.b64decode(letter.value))
    left: dict[str, list[str]] = {}
    for topic in {topic for stage in STAGES for topic in stage.takes}:
        said = {*_SAYS_NOTHING, *(("of-1800",) if topic is HITS else ())}
        found = aside.get(topic.name, set())
        names = [name for name, value in _fitting(topic).items() if name not in said and not _is_aside(value, found)]
        if names:
            left[topic.name] = names
    return left


def _is_aside(value: bytes, aside: set[bytes]) -> bool:
    """Whole, or line by line, as the reader does it."""
    return value in aside or all(line in aside for line in value.split(b"\n") if line.strip())
