"""`sendlens judge hits` as a command: stdin in, stdout out, an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from decisions.robots.rules import RULES
from tests.support.processes import ROOT

CURL_TOO_QUICK = {
    "id": 7,
    "kind": "click",
    "user_agent": "curl/8.11.0",
    "ip": "209.222.82.7",
    "at": "2026-11-23T10:00:01Z",
    "delivered_at": "2026-11-23T10:00:00Z",
}


def judge(*options: str, stdin: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sendlens", "judge", "hits", *options]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False)


def explained(line: dict[str, Any]) -> dict[str, Any]:
    answer = judge("--explain", stdin=json.dumps(line))
    assert (answer.returncode, answer.stderr) == (0, "")
    said: dict[str, Any] = json.loads(answer.stdout)
    return said


def test_explain_lists_every_rule_and_what_it_saw() -> None:
    said = explained(CURL_TOO_QUICK)
    assert (said["id"], said["verdict"], said["reason"]) == (7, "bot", "too-quick")
    assert "Barracuda" in said["network"]
    assert [rule["rule"] for rule in said["rules"]] == [rule.__name__.replace("_", "-") for rule in RULES]
    spoke = [rule["says"] for rule in said["rules"] if rule["says"]]
    assert spoke[:2] == ["bot: too-quick", "bot: scanner-network"]
    assert "bot: library-agent" in spoke


def test_without_explain_a_line_is_the_verdict_and_its_reason() -> None:
    answer = judge(stdin=json.dumps(CURL_TOO_QUICK))
    assert answer.stdout == '{"id":7,"verdict":"bot","reason":"too-quick"}\n'


def test_a_line_that_cannot_be_judged_is_named_and_ends_in_exit_code_1() -> None:
    answer = judge("--explain", stdin="nonsense\n" + json.dumps(CURL_TOO_QUICK))
    assert answer.returncode == 1
    assert answer.stderr.startswith("line 1: not a JSON object")
    assert json.loads(answer.stdout)["reason"] == "too-quick"
