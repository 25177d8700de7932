"""`sendlens dead` on a real broker: letters listed, shown, and put back without changing a number."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from commands.dead_letters import letters, replay
from schemas.events import lines
from schemas.settings import load
from schemas.state.dead_records import Dead
from schemas.topics import DEAD, HITS, MAIL, SENDS, Topic
from tests.support.broker import Broker
from tests.support.processes import ROOT
from tests.support.stream import Stream, a_hit, running_stream


@pytest.fixture(scope="module")
def stream(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    with running_stream(tmp_path_factory.mktemp("dead"), broker) as stream:
        stream.start_worker()
        yield stream


def sendlens(stream: Stream, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | stream.environment
    command = [sys.executable, "-m", "sendlens", "dead", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def bury(stream: Stream, topic: Topic, value: bytes, *, partition: int = 0, age: timedelta = timedelta(0)) -> int:
    """Write a letter as a stage does; returns its number."""
    letter = Dead(
        stage="judge", topic=topic.name, partition=partition, offset=len(letters(stream.settings)) + 1000,
        reason="buried", detail="by a test", at=datetime.now(UTC) - age,
        key=base64.b64encode(b"key").decode(), value=base64.b64encode(value).decode(),
    )  # fmt: skip
    stream.write(DEAD, msgspec.json.encode(letter))
    return letters(stream.settings)[-1].number


def stored(stream: Stream, campaign: str) -> tuple[int, ...]:
    sql = (
        "SELECT count(), uniqExact(id), countIf(verdict = 'human') FROM events FINAL WHERE campaign = {campaign:String}"
    )
    (row,) = stream.ask(sql, campaign=campaign)
    return row


def test_a_poisoned_record_is_listed_shown_and_put_back_without_changing_a_number(stream: Stream) -> None:
    good = [a_hit(f"lead-{n}", campaign="poisoned") for n in range(3)]
    stream.write(HITS, lines(good) + b'{"id": "no hit"}\n', partition=2, key=b"some")
    stream.wait_until_drained()
    before = stored(stream, "poisoned")
    assert before == (3, 3, 3)

    listed = sendlens(stream, "list", "--stage", "judge")
    assert listed.returncode == 0, listed.stderr
    (number,) = re.findall(r"1  judge: unreadable \(hits\) .* (\d+) at hits/2/\d+$", listed.stdout, re.MULTILINE)

    said = json.loads(sendlens(stream, "show", number).stdout)
    assert (said["stage"], said["topic"], said["partition"], said["key"]) == ("judge", "hits", 2, "some")
    assert [line["id"] for line in said["value"]] == [*(hit.id for hit in good), "no hit"]

    records = len(stream.read(HITS))
    would = sendlens(stream, "replay", number, "--dry-run")
    assert would.stdout.strip() == f"would be written: {number} to hits/2"
    assert len(stream.read(HITS)) == records, "a dry run writes nothing"
    for _ in range(2):
        done = sendlens(stream, "replay", number)
        assert (done.returncode, done.stdout.strip()) == (0, f"written: {number} to hits/2")
    stream.wait_until_drained()
    assert len(stream.read(HITS)) == records + 2
    assert stream.read(HITS).count(lines(good) + b'{"id": "no hit"}\n') == 3
    assert stored(stream, "poisoned") == before
    assert letters(stream.settings)[-1].dead.reason == "unreadable", "what is still poison comes back"


def test_a_record_that_can_be_read_by_now_counts_after_its_replay(stream: Stream) -> None:
    number = bury(stream, HITS, lines([a_hit("lead", campaign="mended")]), partition=1)
    assert stored(stream, "mended")[0] == 0
    assert sendlens(stream, "replay", "--reason", "buried").returncode == 0
    stream.wait_until_drained()
    assert stored(stream, "mended") == (1, 1, 1)
    assert number in [letter.number for letter in letters(stream.settings)], "the letter stays for its 30 days"


def test_a_record_that_two_stages_complained_of_is_put_back_once(stream: Stream) -> None:
    number = bury(stream, SENDS, b"{}")
    (letter,) = [one for one in letters(stream.settings) if one.number == number]
    done = replay(stream.settings, [letter, letter], dry_run=True, late=False, now=datetime.now(UTC))
    assert (len(done.written), len(done.left)) == (1, 1)


def test_lines_of_one_record_that_were_set_aside_alone_are_put_back_each(stream: Stream) -> None:
    numbers = [bury(stream, MAIL, line) for line in (b'{"id":"one"}', b'{"id":"two"}')]
    both = [
        dataclasses.replace(one, dead=msgspec.structs.replace(one.dead, offset=7))
        for one in letters(stream.settings)
        if one.number in numbers
    ]
    done = replay(stream.settings, both, dry_run=True, late=False, now=datetime.now(UTC))
    assert [letter.value for letter in done.written] == [b'{"id":"one"}', b'{"id":"two"}']


def test_hits_too_old_to_be_judged_well_are_put_back_only_when_asked(stream: Stream) -> None:
    number = bury(stream, HITS, lines([a_hit("lead", campaign="old")]), age=timedelta(days=3))
    assert "left alone" in sendlens(stream, "replay", str(number)).stdout
    assert f"written: {number}" in sendlens(stream, "replay", str(number), "--late").stdout


def test_a_partition_or_topic_that_is_no_more_is_left_alone(stream: Stream) -> None:
    numbers = {bury(stream, HITS, b"{}", partition=3), bury(stream, Topic("gone", "", ""), b"{}")}
    some = [letter for letter in letters(stream.settings) if letter.number in numbers]
    smaller = load(kafka=stream.settings.kafka, partitions=3, data_dir=stream.folder)
    done = replay(smaller, some, dry_run=False, late=False, now=datetime.now(UTC))
    assert done.written == []
    assert [why for _, why in done.left] == [
        "the topic hits has no partition 3 any more",
        "there is no topic gone any more",
    ]


@pytest.mark.parametrize("words", [["show", "999999"], ["replay", "999999"], ["replay", "--reason", "none such"]])
def test_a_letter_that_is_not_there_is_an_error(stream: Stream, words: list[str]) -> None:
    answer = sendlens(stream, *words)
    assert answer.returncode == 1
    assert "sendlens dead list" in answer.stderr


def test_nothing_is_replayed_by_mistake(stream: Stream) -> None:
    answer = sendlens(stream, "replay")
    assert answer.returncode == 2
    assert "say which" in answer.stderr
