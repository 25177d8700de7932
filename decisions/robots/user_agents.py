"""What a user agent says of who is there. The table `data/agents.tsv` is the rule; this file reads and applies it.

Rows are tried in the order of the file and the first that matches decides. The row `@crawlers` stands for the patterns
of the package `crawler-user-agents`, which calls mail proxies and mail clients bots: they stand before it.
An agent that no row knows is a robot: people's browsers and mail clients have a shape that the last rows describe,
and no robot may be counted as a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast, get_args

import crawleruseragents
import re2

from decisions.robots.judgement import Judgement
from decisions.tables import rows
from schemas.events import Verdict

CRAWLERS = "@crawlers"
_BY_WORD = "@"  # before a label: call it by the word that matched

_CACHED_AGENTS = 32_768
_CACHED_LENGTH = 512  # longer agents are rare and mostly hostile: judged each time rather than kept
_READ_LENGTH = 4096  # what is read of an agent; real ones end before 1,000 characters
_SET_MEMORY = 256 << 20  # re2's ceiling for the automaton it builds lazily; with the default 8 MB it gives up

# The name of a phone may be anything ("CUBOT", "Sonic"), so it is taken out before looking for robots' names. What has
# a URL or "compatible" in it is no phone's name.
_PHONE = re.compile(r"(\(Linux;(?: U;)? ?Android[^;()]*)((?:; ?[a-z]{2}[-_][A-Za-z]{2})?;[^;()]*)")
_NO_PHONE = re.compile(r"compatible|http|www\.|@", re.IGNORECASE)


# A name ends where a version, a list or a comment begins.
_AFTER_NAME = re.compile(r"[\s/;:,(]+[\d.v].*$|[\s/;:,(]+$")
_IN_NAME = re.compile(r"[\w.-]")
_NAME_LENGTH = 40  # longer names are no robot's


@dataclass(frozen=True, slots=True)
class Agent:
    """What one kind of agent means for an open and for a click, the word that says why, and what it is called."""

    open: Judgement
    click: Judgement
    reason: str
    label: str


def agent(on_open: Verdict, on_click: Verdict, reason: str, label: str) -> Agent:
    return Agent(Judgement(on_open, reason), Judgement(on_click, reason), reason, label)


UNKNOWN = agent("bot", "bot", "unknown-agent", "unknown")
NO_AGENT = agent("machine", "bot", "no-agent", "no user agent")


class Matcher:
    """Many patterns in one automaton; says which of them match first in their order."""

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = _SET_MEMORY
        self._set = re2.Set.SearchSet(options)
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def first(self, text: bytes) -> int | None:
        found = self._set.Match(text)
        return min(found) if found else None


class Agents:
    """Classifies user agents; remembers recent ones."""

    def __init__(self, table: Sequence[tuple[str, Agent]], crawlers: Sequence[str]) -> None:
        at = [pattern for pattern, _ in table].index(CRAWLERS)
        self._known, self._crawler, self._other = table[:at], table[at][1], table[at + 1 :]
        self._match_known = Matcher([pattern for pattern, _ in self._known])
        self._match_crawler = Matcher(crawlers)
        self._match_other = Matcher([pattern for pattern, _ in self._other])
        self._crawlers = crawlers
        self._remembered: Callable[[str], Agent] = lru_cache(maxsize=_CACHED_AGENTS)(self._classify)

    @classmethod
    def load(cls) -> Agents:
        """Read the packaged table and the crawler package. Raises ValueError naming the line that is wrong."""
        return cls(list(_table()), crawler_patterns())

    def classify(self, user_agent: str) -> Agent:
        """Say what this text means. Any text gives an answer."""
        if len(user_agent) <= _CACHED_LENGTH:
            return self._remembered(user_agent)
        return self._classify(user_agent)

    def _classify(self, user_agent: str) -> Agent:
        text = user_agent[:_READ_LENGTH].strip()
        if text in ("", "-"):
            return NO_AGENT
        at = self._match_known.first(text.encode("utf-8", "replace"))
        if at is not None:
            return _named(self._known[at][1], self._known[at][0], text)
        text = _without_phone(text)
        raw = text.encode("utf-8", "replace")
        at = self._match_crawler.first(raw)
        if at is not None:
            return _named(self._crawler, self._crawlers[at], text)
        at = self._match_other.first(raw)
        return UNKNOWN if at is None else _named(self._other[at][1], self._other[at][0], text)


def crawler_patterns() -> list[str]:
    """The crawler package's patterns without those that also match people, which `crawlers_left_out.tsv` lists."""
    left_out = {pattern for _, (pattern, _why) in rows("crawlers_left_out.tsv", 2)}
    listed = [str(entry["pattern"]) for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
    return [pattern for pattern in listed if pattern not in left_out]


def _table() -> list[tuple[str, Agent]]:
    table = []
    for place, (pattern, on_open, on_click, reason, label, _source) in rows("agents.tsv", 6):
        if not {on_open, on_click} <= set(get_args(Verdict)):
            raise ValueError(f"{place}: a verdict is one of {', '.join(get_args(Verdict))}")
        table.append((pattern, agent(cast(Verdict, on_open), cast(Verdict, on_click), reason, label)))
    return table


def _named(known: Agent, pattern: str, text: str) -> Agent:
    """The agent by its own name, where the table has none for it: the word of the text in which the pattern stands."""
    if not known.label.startswith(_BY_WORD):
        return known
    found = re2.search(pattern, text)
    name = ""
    if found is not None:
        start, end = found.span()
        while start and _IN_NAME.match(text[start - 1]):
            start -= 1
        while end < len(text) and _IN_NAME.match(text[end]):
            end += 1
        name = _AFTER_NAME.sub("", text[start:end].strip())
    if not 1 < len(name) <= _NAME_LENGTH or not name.isprintable() or {*"@/"} & {*name}:
        name = known.label.removeprefix(_BY_WORD)
    return replace(known, label=name)


def _without_phone(text: str) -> str:
    return _PHONE.sub(lambda found: found[0] if _NO_PHONE.search(found[2]) else found[1], text)
