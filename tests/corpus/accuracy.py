"""`python -m tests.corpus.accuracy`: judge the labelled corpora beside other libraries, write docs/accuracy.md.

With --hits also ask a Sendlens, started for it, about the cases of requests (some minutes).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import crawleruseragents

from commands.judge_lines import judge_lines
from decisions.robots.rules import Rules
from tests.corpus import field_accuracy, mail_accuracy
from tests.corpus.mails import NO_CORPORA, SHARED

CORPUS = Path(__file__).with_name("agents")
DOCUMENT = Path(__file__).parents[2] / "docs" / "accuracy.md"

# The most that may be judged wrong of each label; the same for what was seen while tuning and for what was not.
# `rare-browser` is made of devices that hardly read mail: televisions, consoles, phones of 2008.
MOST_WRONG = {"crawler": 0.03, "browser": 0.005, "rare-browser": 0.03, "mail-client": 0.01}

Line = dict[str, Any]
Judge = Callable[[list[Line]], list[bool]]

_HEAD = """# How often the judge is right

On hits; [on mail](#mail-bounces-replies-complaints) and [cases from the field](#cases-from-the-field) further down. Written by `python -m tests.corpus.accuracy`; a test holds it to what the code says today. Every line of
[tests/corpus/agents](../tests/corpus/agents) is judged by Sendlens, as `sendlens judge hits` does, and its user agent by
two libraries that tell robots from people: crawler-user-agents {crawlers} and is-bot {isbot}. *Wrong* is a robot that
passes as a person, or a person who is flagged. Libraries know robot or not; where Sendlens says `machine` (fetched ahead,
no person looked) that counts as flagged.

What to make of it:

- **Held out** means that nobody looked at those lines while the rules were tuned, and the tests count and never show
  them. It is the figure to believe. Mail clients were written down by hand by who wrote the rules: weaker evidence.
- Sendlens uses the patterns of crawler-user-agents, behind its own lists of mail proxies and mail clients. The corpus
  of crawlers comes from elsewhere (device-detector's fixtures), but its robots overlap with that package's.
- is-bot finds a few crawlers more than Sendlens does; and it calls every mail proxy and many mail clients robots, for
  on a web site they are. Rare browsers Sendlens flags a little more often than both: an agent without the shape of a
  browser or mail client is a robot here.
- User agents are the lesser part. Most security gateways come as an ordinary Chrome: timing, networks, bursts of clicks
  and the honeypot find those, which the second table has by name and no user agent could tell. How many of all
  scanners that are is not measured here: that takes mailboxes behind each vendor's gateway.
"""

_FOOT = """
The mail world of `make demo` plays scanners in a browser's clothes against people at the same address, and its numbers
must come out equal to the truth. docs/reference/judging.md says what bursts and the honeypot cost a person.
"""


def lines_of(name: str) -> list[Line]:
    return [json.loads(line) for line in (CORPUS / name).read_text().splitlines()]


def sendlens(rules: Rules) -> Judge:
    """Flags what Sendlens does not call human."""

    def flagged(lines: list[Line]) -> list[bool]:
        answers: list[bytes] = []
        complaints: list[str] = []
        judge_lines([json.dumps(line).encode() for line in lines], rules, answers.append, complaints.append)
        if complaints:
            raise ValueError(complaints[0])
        return [json.loads(answer)["verdict"] != "human" for answer in answers]

    return flagged


def crawler_user_agents(lines: list[Line]) -> list[bool]:
    return [bool(crawleruseragents.is_crawler(line["user_agent"] or "")) for line in lines]


def is_bot(lines: list[Line]) -> list[bool]:
    from is_bot import Bots

    bots = Bots()
    return [bots.is_bot(line["user_agent"] or "") for line in lines]


def wrong(judge: Judge, lines: list[Line]) -> int:
    """How many lines are flagged and should not be, or the other way round."""
    return sum(flagged != (line["verdict"] != "human") for flagged, line in zip(judge(lines), lines, strict=True))


def document(rules: Rules, asked: Callable[[], field_accuracy.Counts] | None = None) -> str:
    """The text of docs/accuracy.md. `asked` counts the cases of requests; without it they stay as they were written."""
    judges = {"Sendlens": sendlens(rules), "crawler-user-agents": crawler_user_agents, "is-bot": is_bot}
    head = _HEAD.replace("{crawlers}", version("crawler-user-agents")).replace("{isbot}", version("is-bot"))
    written = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    mail, field = mail_accuracy.section(written), field_accuracy.section(written, asked)
    return "\n".join([head, *_agents(judges), "", *_named(judges), _FOOT, mail, field])


def _agents(judges: dict[str, Judge]) -> Iterator[str]:
    yield "## User agents: wrong, of so many"
    yield ""
    yield "| label | corpus | lines | at most | " + " | ".join(judges) + " |"
    yield "|---|---|---:|---:|" + "---:|" * len(judges)
    for label, most in MOST_WRONG.items():
        for name, said in (("held_out.ndjson", "held out"), ("seen.ndjson", "seen")):
            some = [line for line in lines_of(name) if line["label"] == label]
            yield f"| {label} | {said} | {len(some)} | {most:.1%} | " + _cells(judges, some)
    proxies = [
        line for line in lines_of("named.ndjson") if line["label"] == "mail-proxy" and line["verdict"] == "human"
    ]
    yield f"| mail proxy, opening for a person | named | {len(proxies)} | 0.0% | " + _cells(judges, proxies)


def _named(judges: dict[str, Judge]) -> Iterator[str]:
    yield "## Agents, networks and headers known by name: wrong, of so many"
    yield ""
    yield "Each is a hit with what it takes to know it: an address, a method, a header, a time. The libraries see the user"
    yield "agent alone."
    yield ""
    yield "| kind | lines | " + " | ".join(judges) + " |"
    yield "|---|---:|" + "---:|" * len(judges)
    named = lines_of("named.ndjson")
    for label in sorted({line["label"] for line in named}):
        some = [line for line in named if line["label"] == label]
        yield f"| {label} | {len(some)} | " + _cells(judges, some)


def _cells(judges: dict[str, Judge], some: list[Line]) -> str:
    counts = [wrong(judge, some) for judge in judges.values()]
    return " | ".join(f"{count} ({count / len(some):.1%})" if count else "0" for count in counts) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(Rules.load(), field_accuracy.hits if "--hits" in sys.argv else None))
    print(f"written: {DOCUMENT.name}")
    if not SHARED.exists():
        print(f"its sections on mail and the field are left as they were: {NO_CORPORA}")
