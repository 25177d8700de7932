"""Who writes to a topic wakes those who read it, in this process and the others of the machine."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.settings import load
from schemas.topics import EVENTS, HITS, SENDS
from stream.wakeup.patience import Patience
from stream.wakeup.wake_ups import WakeUps, wake_ups

PATIENCE = 10.0

Listener = Callable[[WakeUps], queue.Queue[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In a data folder whose name is longer than a socket's may be."""
    data = tmp_path / ("long" * 30)
    data.mkdir()
    return data / "wakeups"


@pytest.fixture
def hears() -> Iterator[Callable[[WakeUps, str], queue.Queue[str]]]:
    """Listen to hits and events; what is heard is put into the queue. Ends with the test."""
    leave: list[Callable[[], None]] = []

    def listen(at: WakeUps, name: str) -> queue.Queue[str]:
        heard: queue.Queue[str] = queue.Queue()

        def hear() -> None:
            heard.put(name)

        assert at.listen((HITS, EVENTS), hear)
        leave.append(lambda: at.leave(hear))
        return heard

    yield listen
    for one in leave:
        one()


def test_a_rest_is_a_sixteenth_of_the_time_that_nothing_came_within_bounds() -> None:
    now = 0.0
    patience = Patience(0.2, 10.0, lambda: now)
    assert patience.seconds == 0.2
    now = 16.0
    assert patience.seconds == 1.0
    now = 3600.0
    assert patience.seconds == 10.0
    patience.end()
    assert patience.seconds == 0.2


def test_who_reads_a_topic_is_woken_in_every_process(
    folder: Path, hears: Callable[[WakeUps, str], queue.Queue[str]]
) -> None:
    writer, reader = WakeUps(folder), WakeUps(folder)  # as two processes have them
    here, there = hears(writer, "here"), hears(reader, "there")
    writer.wake([SENDS])  # nobody's
    writer.wake([HITS])
    assert (here.get(timeout=PATIENCE), there.get(timeout=PATIENCE)) == ("here", "there")
    reader.wake([EVENTS, HITS])
    assert (here.get(timeout=PATIENCE), there.get(timeout=PATIENCE)) == ("here", "there")
    assert (here.qsize(), there.qsize()) == (0, 0), "once each, and not for another topic"


def test_a_busy_writer_wakes_ten_times_a_second(
    folder: Path, hears: Callable[[WakeUps, str], queue.Queue[str]]
) -> None:
    now = 0.0
    writer = WakeUps(folder, lambda: now)
    heard = hears(writer, "here")
    for number in range(1000):
        now = number / 1000
        writer.wake([HITS])
    assert heard.qsize() == 10


def test_who_has_left_or_died_is_forgotten(folder: Path) -> None:
    writer, reader, dead = WakeUps(folder), WakeUps(folder), WakeUps(folder)
    heard: queue.Queue[None] = queue.Queue()

    def hear() -> None:
        heard.put(None)

    reader.listen([HITS], hear)
    reader.leave(hear)
    assert not list(folder.iterdir()), "its socket is gone"
    dead.listen([HITS], hear)
    (socket,) = folder.iterdir()
    dead.leave(hear)
    socket.touch()  # as a killed process leaves it: nobody listens
    writer.wake([HITS])
    assert not list(folder.iterdir()), "who woke it has tidied up"
    assert heard.empty()
    reader.listen([HITS], hear)
    WakeUps(folder).wake([HITS])
    heard.get(timeout=PATIENCE)
    reader.leave(hear)


def test_in_a_cluster_and_without_a_data_folder_nobody_is_told_and_readers_know_it(tmp_path: Path) -> None:
    cluster = wake_ups(load(mode="cluster", data_dir=tmp_path, token_keys="1:" + "ab" * 32, api_key="k" * 40))
    nowhere = WakeUps(tmp_path / "not there" / "wakeups")
    for silent in (cluster, nowhere):
        assert not silent.listen([HITS], lambda: None)
        silent.wake([HITS])
    assert not list(tmp_path.iterdir())
