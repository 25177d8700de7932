"""User agents against the labelled corpus of tests/corpus/agents: the named ones one by one, the rest by share."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import crawleruseragents
import pytest

from commands.judge_lines import judge_lines
from decisions.robots.rules import Rules
from decisions.robots.user_agents import Agents, agent, crawler_patterns
from decisions.tables import rows
from tests.corpus.accuracy import MOST_WRONG
from tests.support.processes import ROOT

CORPUS = Path(__file__).parents[2] / "corpus" / "agents"


def judged(rules: Rules, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each line of a corpus file with the judge's answer to it."""
    lines = (CORPUS / name).read_bytes().splitlines()
    answers: list[dict[str, Any]] = []
    assert judge_lines(lines, rules, lambda line: answers.append(json.loads(line)), pytest.fail) == 0
    return list(zip(map(json.loads, lines), answers, strict=True))


def named() -> list[Any]:
    lines = [json.loads(line) for line in (CORPUS / "named.ndjson").read_text().splitlines()]
    return [pytest.param(line, id=f"{line['id']}-{line['agent'].replace(' ', '-')}") for line in lines]


@pytest.mark.parametrize("line", named())
def test_each_agent_we_know_by_name_gets_its_verdict_and_reason(rules: Rules, line: dict[str, Any]) -> None:
    answers: list[dict[str, Any]] = []
    judge_lines([json.dumps(line).encode()], rules, lambda out: answers.append(json.loads(out)), pytest.fail)
    assert answers == [{"id": line["id"], "verdict": line["verdict"], "reason": line["reason"]}]


@pytest.mark.parametrize("name", ["seen.ndjson", "held_out.ndjson"])
def test_agents_are_told_apart_also_where_nobody_looked(
    rules: Rules, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    examples: defaultdict[str, list[str]] = defaultdict(list)
    for line, answer in judged(rules, name):
        total[line["label"]] += 1
        if answer["verdict"] != line["verdict"]:
            wrong[line["label"]] += 1
            examples[line["label"]].append(f"{answer['verdict']} ({answer['reason']}): {line['user_agent']}")
    with capsys.disabled():
        table = ", ".join(f"{label} {total[label] - wrong[label]}/{total[label]}" for label in sorted(total))
        print(f"\n{name}: right {table}")
    assert set(total) == set(MOST_WRONG)
    for label, most in MOST_WRONG.items():
        share = wrong[label] / total[label]
        # What was held out is counted, never shown: it would stop being unseen.
        shown = "\n".join(examples[label]) if name == "seen.ndjson" else f"{wrong[label]} of {total[label]}"
        assert share <= most, f"{label}: {share:.2%} wrong, at most {most:.1%} may be\n{shown}"


def test_the_corpus_keeps_what_was_held_out_apart() -> None:
    seen, held_out = (
        {json.loads(line)["user_agent"] for line in (CORPUS / name).read_text().splitlines()}
        for name in ("seen.ndjson", "held_out.ndjson")
    )
    assert not seen & held_out
    assert len(held_out) > 1000


def test_every_robot_that_the_crawler_package_shows_is_no_person(rules: Rules) -> None:
    left_out = {pattern for _, (pattern, _) in rows("crawlers_left_out.tsv", 2)}
    people = {
        instance: rules.classify(instance).reason
        for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA
        if entry["pattern"] not in left_out
        for instance in entry["instances"]
        if rules.classify(instance).click.verdict == "human"
    }
    assert people == {}


def test_patterns_left_out_of_the_crawler_package_are_in_it() -> None:
    listed = {entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA}
    left_out = {pattern for _, (pattern, _) in rows("crawlers_left_out.tsv", 2)}
    assert left_out <= listed
    assert len(crawler_patterns()) == len(crawleruseragents.CRAWLER_USER_AGENTS_DATA) - len(left_out)


def test_the_first_row_that_matches_decides_and_crawlers_stand_where_their_row_stands() -> None:
    crawler = agent("bot", "bot", "crawler-agent", "crawler")
    first, last = agent("human", "human", "first", "first"), agent("human", "human", "last", "last")
    agents = Agents([("good", first), ("goo", last), ("@crawlers", crawler), ("fine", last)], ["bad"])
    assert agents.classify("bad good").reason == "first"
    assert agents.classify("bad fine").reason == "crawler-agent"
    assert agents.classify("fine").reason == "last"
    assert agents.classify("neither").reason == "unknown-agent"


def test_the_name_of_a_phone_makes_no_robot(rules: Rules) -> None:
    for phone in ("CUBOT_X18_Plus", "CUBOT Build/QP1A", "ru-ru; Robot Build/1", "Spider Scan 3"):
        text = f"Mozilla/5.0 (Linux; Android 9; {phone}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0 Mobile"
        assert rules.classify(text).reason == "browser", phone
    hidden = (
        "Mozilla/5.0 (Linux; Android 9; compatible; SpiderBot/1.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0"
    )
    assert rules.classify(hidden).reason == "crawler-agent"


@pytest.mark.parametrize(
    ("name", "verdict"), [("FooMail/1.0", "human"), ("MailGuard/2", "bot"), ("EmailSiphon", "bot")]
)
def test_what_calls_itself_mail_is_a_mail_client_unless_it_guards_or_gathers(
    rules: Rules, name: str, verdict: str
) -> None:
    assert rules.classify(name).open.verdict == verdict


def test_every_row_of_every_table_says_where_it_comes_from() -> None:
    for name, columns in (("agents.tsv", 6), ("networks.tsv", 5), ("crawlers_left_out.tsv", 2)):
        found = list(rows(name, columns))
        assert found, name
        assert all(len(fields[-1]) >= 8 for _, fields in found), name
    patterns = [fields[0] for _, fields in rows("agents.tsv", 6)]
    assert len(patterns) == len(set(patterns))


def test_no_browser_of_real_traffic_is_flagged() -> None:
    agents = Agents.load()
    with gzip.open(ROOT / "tests" / "corpus" / "agents" / "browsers.txt.gz", "rt", encoding="utf-8") as file:
        browsers = file.read().splitlines()
    assert len(browsers) > 900
    flagged = [
        text
        for text in browsers
        if {agents.classify(text).open.verdict, agents.classify(text).click.verdict} != {"human"}
    ]
    assert not flagged


@pytest.mark.parametrize(
    "text",
    [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) ZohoMail-Desktop/1.7.0 "
        "Chrome/128.0.6613.36 Electron/32.0.1 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Zoho Mail - Desktop/1.6.6 Chrome/124.0.0.0 "
        "Electron/30.1.2 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
        "Chrome/131.0.6778.39 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
        "Instagram 309.1.0.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/20G75 "
        "LinkedInApp/9.28",
        "Mozilla/5.0 (Linux; Android 12; Pixel 6; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/119.0.0.0 "
        "Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/440.0.0.0;]",
    ],
)
def test_clients_built_on_browsers_and_browsers_in_apps_are_people(text: str) -> None:
    said = Agents.load().classify(text)
    assert (said.open.verdict, said.click.verdict) == ("human", "human")


@pytest.mark.parametrize(
    "text",
    [
        "SuperhumanImageProxy/1.0",
        "Superhuman Image Proxy",
        "Mozilla/5.0 (compatible; ImageProxy; +https://superhuman.com)",
    ],
)
def test_superhumans_image_proxy_opens_for_a_person_and_clicks_for_nobody(text: str) -> None:
    said = Agents.load().classify(text)
    assert (said.open.verdict, said.click.verdict, said.reason) == ("human", "bot", "mail-proxy")
