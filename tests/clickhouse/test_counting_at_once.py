"""The law of counting, while several count ahead at once: whatever is written between any two steps of one, whoever else
counts then, and wherever one is killed, no number is another than by hand, before the next one comes and after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from clickhouse import counting
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of
from tests.clickhouse.test_counting import EDGES, TRIES, asked, assert_all_right, empty, many, told

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


class Killed(Exception):
    pass


class Interrupted:
    """A client to which something happens before each of its calls, as long as there is something to happen."""

    def __init__(self, client: Client, happens: Iterator[str], writes: Iterator[list[AnyEvent]]) -> None:
        self._client = client
        self._happens = happens
        self._writes = writes

    def query(self, *args: Any, **options: Any) -> Any:
        self._let_happen()
        return self._client.query(*args, **options)

    def command(self, *args: Any, **options: Any) -> Any:
        self._let_happen()
        return self._client.command(*args, **options)

    def insert(self, *args: Any, **options: Any) -> Any:
        self._let_happen()
        return self._client.insert(*args, **options)

    def roll(self) -> None:
        with suppress(Killed):
            counting.roll(self)  # type: ignore[arg-type]

    def _let_happen(self) -> None:
        what = next(self._happens, "nothing")
        if what == "die":
            raise Killed
        if what == "roll":
            self.roll()
        if what == "write" and (events := next(self._writes, None)):
            insert_lines(self._client, "events", lines(events))


@many
@given(
    data=st.data(),
    stories=told(),
    happens=st.lists(st.sampled_from(["nothing", "nothing", "nothing", "write", "roll", "die"]), max_size=60),
)
def test_several_that_count_ahead_at_once_change_no_number(
    emptied: Client, data: st.DataObject, stories: list[Told], happens: list[str]
) -> None:
    empty(emptied)
    events = events_of(stories)
    stream = data.draw(st.permutations(events))
    first = data.draw(st.integers(0, len(stream)))
    if first:
        insert_lines(emptied, "events", lines(stream[:first]))
    written = list(stream[:first])
    rest = stream[first:]

    def writes() -> Iterator[list[AnyEvent]]:
        while rest:
            one = rest.pop()
            written.append(one)
            yield [one]

    since, until = sorted(data.draw(st.lists(st.sampled_from(EDGES), min_size=2, max_size=2, unique=True)))
    happening, writing = iter(happens), writes()
    for _ in range(3):
        Interrupted(emptied, happening, writing).roll()
        assert_all_right(emptied, written, since, until)
    counting.roll(emptied)
    assert_all_right(emptied, written, since, until)


# Of the steps of a roll each third, or all of them with many examples.
_STRIDE = 1 if TRIES > 20 else 3


def test_an_hour_that_is_written_to_at_any_step_of_a_roll_makes_its_day_stale_too(emptied: Client) -> None:
    one = Told("spring", 1, 1, "sent", BASE + timedelta(minutes=5), 0)
    late = Told("spring", 1, 2, "sent", BASE + timedelta(minutes=6), 0)
    step = 0
    while True:
        empty(emptied)
        insert_lines(emptied, "events", lines(events_of([one])))
        writes = iter([events_of([late])])
        Interrupted(emptied, iter(["nothing"] * step + ["write"]), writes).roll()
        if next(writes, None) is not None:  # the roll was over before
            break
        _, day = asked(emptied, "headline", BASE, BASE + timedelta(hours=24))
        assert day["sent"] == 2, f"written at step {step}"
        counting.roll(emptied)
        _, day = asked(emptied, "headline", BASE, BASE + timedelta(hours=24))
        assert day["sent"] == 2, f"written at step {step}"
        step += _STRIDE
    assert step > sum(of == "email" for of, *_ in counting._INTO), "every statement about emails was one"
