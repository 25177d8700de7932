"""Every robot, network and mail proxy that the rules know by name, as a page: `python -m decisions.robots.listed`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from decisions.robots.user_agents import CRAWLERS, crawler_patterns
from decisions.tables import rows

_ABOUT = """# Robots, networks and proxies

Who is known by name, and what a hit of theirs counts as. `make robots` writes this page from
`decisions/data/agents.tsv`, `decisions/data/networks.tsv` and the package `crawler-user-agents`.

`human` counts as a person's. `machine` is a fetch ahead on a person's behalf, shown apart on opens. `bot` never counts.
Who is not listed is judged as well: by how soon it comes, by bursts of links, by the honeypot, and an agent that has
the shape of no browser and no mail client is a bot. [reference/judging.md](reference/judging.md) says how the rules go
together.
"""
_TRUST = {
    "scanner": "always a robot",
    "probable": "a robot within ten minutes of delivery; later a person whose browser the vendor isolates",
    "second-signal": "a click is a robot's within ten minutes of delivery, or with another link within five seconds",
    "relay": "Mail Privacy Protection fetches from here: a bare Mozilla from it is `machine`",
}


Row = list[str]


@dataclass(frozen=True)
class _Section:
    """Rows of agents.tsv under a heading, which says how many they are; `reason` shows that column too."""

    heading: str
    about: str
    first: str
    holds: Callable[[Row], bool]
    reason: bool = True


def _is_word(row: Row) -> bool:
    return row[4].startswith("@")


# Which rows of agents.tsv stand where. A name with an @ is a word that the user agent itself gives.
_SECTIONS = (
    _Section("Robots by their user agent", "", "Name", lambda row: row[1] == "bot" and not _is_word(row)),
    _Section(
        "Robots by a word of their user agent",
        "Called by the word that matched, as the robot writes it.\n",
        "What",
        _is_word,
    ),
    _Section("What fetches ahead", "", "Name", lambda row: row[1] == "machine" and not _is_word(row)),
    _Section(
        "Mail proxies",
        "They fetch an image when a person opens the email, and never follow a link.\n",
        "Name",
        lambda row: row[3] == "mail-proxy" and not _is_word(row),
        reason=False,
    ),
    _Section(
        "Mail clients and browsers",
        "",
        "Name",
        lambda row: row[1] == "human" and row[3] != "mail-proxy" and not _is_word(row),
    ),
)


def page() -> str:
    """The page as Markdown."""
    agents = [row for _, row in rows("agents.tsv", 6) if row[0] != CRAWLERS]
    lines = [_ABOUT]
    for section in _SECTIONS:
        lines += _shown(section, [row for row in agents if section.holds(row)])
    return "\n".join([*lines, *_networks(), *_crawlers(), ""]).replace(f"{_ABOUT}\n\n", f"{_ABOUT}\n", 1)


def _shown(section: _Section, found: list[Row]) -> list[str]:
    heads = [section.first, "Open", "Click", *(["Reason"] if section.reason else []), "Source"]
    cells = [(row[4].removeprefix("@"), row[1], row[2], *([row[3]] if section.reason else []), row[5]) for row in found]
    count = f"{len(found)} rows" if section.reason else str(len(found))
    about = [section.about] if section.about else []
    return [f"\n## {section.heading}: {count}\n", *about, *_table(tuple(heads), cells)]


def _networks() -> list[str]:
    networks = Counter((trust, label, kinds) for _, (_network, trust, kinds, label, _source) in rows("networks.tsv", 5))
    return [
        f"\n## Networks: {len({label for _, label, _ in networks})} owners\n",
        "AS numbers take part where there is an ASN database.\n",
        *_table(
            ("Owner", "What its hits are", "Judges", "Networks"),
            [
                (label, _TRUST[trust], kinds.replace(",", " and "), str(number))
                for (trust, label, kinds), number in sorted(networks.items(), key=lambda one: _order(one[0]))
            ],
        ),
    ]


def _crawlers() -> list[str]:
    crawlers = sorted(set(crawler_patterns()), key=str.lower)
    return [
        f"\n## Crawlers of the package crawler-user-agents: {len(crawlers)} patterns\n",
        "All are bots. Left out are the patterns that also match people: `decisions/data/crawlers_left_out.tsv`.\n",
        ", ".join(f"`{pattern}`" for pattern in crawlers),
    ]


def _order(network: tuple[str, str, str]) -> tuple[int, str, str]:
    trust, label, kinds = network
    return list(_TRUST).index(trust), label.lower(), kinds


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines),
    ]


if __name__ == "__main__":
    print(page(), end="")
