"""`sendlens judge hits`: lines in, verdicts out, in order, whatever the lines are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.judge_lines import judge_lines
from decisions.robots.rules import RULES, Rules
from tests.decisions.robots.hits import CHROME


def run(rules: Rules, *lines: bytes | dict[str, Any], **how: Any) -> tuple[list[dict[str, Any]], list[str], int]:
    """Judge lines; return the answers, the complaints and the count of bad lines."""
    written: list[bytes] = []
    complaints: list[str] = []
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines]
    bad = judge_lines(raw, rules, written.append, complaints.append, **how)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)
    return [json.loads(line) for line in written], complaints, bad


def line(**what: Any) -> dict[str, Any]:
    return {"id": "a", "kind": "open", "user_agent": CHROME, **what}


def test_only_id_kind_and_user_agent_are_needed(rules: Rules) -> None:
    assert run(rules, line()) == ([{"id": "a", "verdict": "human", "reason": "browser"}], [], 0)


@pytest.mark.parametrize("agent", ["", None])
def test_the_agent_may_be_empty(rules: Rules, agent: str | None) -> None:
    assert run(rules, line(user_agent=agent))[0] == [{"id": "a", "verdict": "machine", "reason": "no-agent"}]


@pytest.mark.parametrize("raw", [b'"a\\"\\u00e9\xc3\xa9"', b"7", b"-1.50e3", b'""', b"123456789012345678901234567890"])
def test_ids_come_back_as_they_came(rules: Rules, raw: bytes) -> None:
    written: list[bytes] = []
    judge_lines([b'{"kind":"open","user_agent":"","id":' + raw + b"}"], rules, written.append, pytest.fail)
    assert written == [b'{"id":' + raw + b',"verdict":"machine","reason":"no-agent"}\n']


def test_answers_come_in_the_order_of_the_lines(rules: Rules) -> None:
    answers, _, _ = run(rules, *(line(id=number) for number in range(500)))
    assert [answer["id"] for answer in answers] == list(range(500))


@pytest.mark.parametrize(
    ("at", "delivered_at"),
    [
        ("2026-11-23T10:00:01Z", "2026-11-23T10:00:00Z"),
        ("2026-11-23T10:00:01", "2026-11-23T12:00:00+02:00"),
        ("2026-11-23 10:00:01.5", "20261123T100000Z"),
        ("2026-11-23T05:00:01-05:00", "2026-11-23T10:00Z"),
    ],
)
def test_times_are_iso_8601_and_utc_unless_they_say_otherwise(rules: Rules, at: str, delivered_at: str) -> None:
    assert run(rules, line(at=at, delivered_at=delivered_at))[0][0]["reason"] == "too-quick"


@pytest.mark.parametrize("missing", [{"at": "2026-11-23T10:00:01Z"}, {"delivered_at": "2026-11-23T10:00:00Z"}])
def test_without_both_times_timing_says_nothing(rules: Rules, missing: dict[str, str]) -> None:
    assert run(rules, line(**missing))[0][0]["reason"] == "browser"


def test_names_of_headers_and_methods_may_be_in_any_case(rules: Rules) -> None:
    answers, _, _ = run(rules, line(headers={"SEC-Purpose": "prefetch"}), line(method="head"), line(method="get"))
    assert [answer["reason"] for answer in answers] == ["prefetch-header", "head-request", "browser"]


def test_fields_that_nobody_knows_and_empty_lines_are_ignored(rules: Rules) -> None:
    answers, complaints, bad = run(rules, b"\n", line(colour="red", nested={"x": [1]}), b"  \r\n", b"")
    assert (len(answers), complaints, bad) == (1, [], 0)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(rules: Rules) -> None:
    text = json.dumps(line()).encode() + b"\r\n"
    assert len(run(rules, b"\xef\xbb\xbf" + text, text)[0]) == 2


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"nope\n", "not a JSON object"),
        (b'{"id": "a", "kind": "op\n', "not a JSON object"),
        (b"[1]\n", "object"),
        (b'{"id":"a","kind":"open","user_agent":"\xff"}', "UTF-8"),
        (b'{"id":' + b"[" * 100_000, "JSON"),
        ({"kind": "open", "user_agent": ""}, "`id`"),
        ({"id": "a", "user_agent": ""}, "`kind`"),
        ({"id": "a", "kind": "open"}, "`user_agent`"),
        ({"id": "a", "kind": "tap", "user_agent": ""}, "open or click"),
        ({"id": None, "kind": "open", "user_agent": ""}, "id is neither text nor a number"),
        ({"id": ["a"], "kind": "open", "user_agent": ""}, "id is neither text nor a number"),
        ({"id": "a", "kind": "open", "user_agent": 5}, "user_agent"),
        ({"id": "a", "kind": "open", "user_agent": "", "at": "yesterday"}, "at is no time: 'yesterday'"),
        ({"id": "a", "kind": "open", "user_agent": "", "delivered_at": "25:00"}, "delivered_at is no time"),
        ({"id": "a", "kind": "open", "user_agent": "", "at": 1700000000}, "at"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_hinders_no_other(rules: Rules, bad: Any, says: str) -> None:
    answers, complaints, count = run(rules, line(id=1), bad, line(id=3))
    assert [answer["id"] for answer in answers] == [1, 3]
    assert count == len(complaints) == 1
    assert complaints[0].startswith("line 2: ")
    assert says in complaints[0]
    assert len(complaints[0]) < 400


def test_an_explained_line_lists_every_rule(rules: Rules) -> None:
    (answer,), _, _ = run(rules, line(ip="209.222.82.7"), explained=True)
    assert (answer["verdict"], answer["reason"]) == ("bot", "scanner-network")
    assert (answer["agent"], answer["network"]) == ("browser", "Barracuda Email Gateway Defense")
    assert [said["rule"] for said in answer["rules"]] == [rule.__name__.replace("_", "-") for rule in RULES]
    assert {said["rule"]: said["says"] for said in answer["rules"]}["scanner-network"] == "bot: scanner-network"


def test_lines_are_read_one_at_a_time(rules: Rules) -> None:
    """Nothing is held: each answer is out before the next line is read."""
    written: list[bytes] = []

    def source() -> Iterator[bytes]:
        for number, text in enumerate(repeat(json.dumps(line()).encode(), 1000)):
            assert len(written) == number
            yield text

    assert judge_lines(source(), rules, written.append, pytest.fail) == 0
    assert len(written) == 1000


@given(st.lists(st.binary(max_size=80) | st.text(max_size=60).map(str.encode), max_size=5))
def test_any_bytes_are_a_complaint_or_a_verdict_and_never_an_exception(rules: Rules, lines: list[bytes]) -> None:
    answers, complaints, bad = run(rules, *lines)
    assert bad == len(complaints)
    assert len(answers) + bad == sum(1 for number, raw in enumerate(lines) if _says_something(number, raw))


def _says_something(number: int, raw: bytes) -> bool:
    return bool((raw.removeprefix(b"\xef\xbb\xbf") if number == 0 else raw).strip())
