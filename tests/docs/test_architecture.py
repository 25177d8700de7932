"""docs/architecture.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from agents.decisions.judge import RULES
from agents.pipeline import STAGES
from schemas.settings import Settings
from schemas.topics import ALL
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
_DAY_MS = 86_400_000


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    _, _, rest = TEXT.partition(f"\n## {heading}\n")
    part = rest.partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_stages_are_those_of_the_pipeline() -> None:
    assert table("Stages") == [
        [
            stage.name,
            ", ".join(topic.name for topic in stage.takes),
            ", ".join(topic.name for topic in stage.gives),
            stage.decides,
        ]
        for stage in STAGES
    ]


def test_the_topics_are_those_that_migrate_makes() -> None:
    assert table("Topics") == [
        [
            topic.name,
            topic.key,
            topic.holds,
            ", ".join(
                ["newest of each key"] * topic.compacted
                + [f"{topic.retention_ms // _DAY_MS} days"] * (topic.expires or not topic.compacted)
            ),
        ]
        for topic in ALL
    ]


def test_every_room_is_on_the_map() -> None:
    named = {name for row in table("Rooms") for name in re.findall(r"`([\w.]+)/?`", row[0])}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert named == rooms | {path.name for path in ROOT.glob("*.py")}


def test_every_file_that_is_named_is_there() -> None:
    for name in re.findall(r"`([\w/]+/[\w.]*)`", TEXT):
        if not name.startswith("/"):
            assert Path(ROOT / name).exists(), name


def test_the_times_it_tells_are_the_defaults() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert f"A hit waits {defaults['settle_seconds']:.0f} s" in TEXT
    assert f"after {defaults['answer_within_ms'] / 1000:.0f} s without it, the spool on disk" in TEXT


def test_the_rules_are_told_in_their_order() -> None:
    told = {
        "timing": "timing",
        "honeypot": "honeypot",
        "click_burst": "bursts of clicks",
        "scanner_network": "networks of scanners",
        "asked_by_a_machine": "requests that only machines",
        "privacy_prefetch": "privacy prefetch",
        "known_agent": "what the user agent says",
        "probable_network": "networks that are probably scanners",
        "browser": "what is left is a browser",
    }
    _, _, sentence = TEXT.replace("\n", " ").partition("the first that speaks decides:")
    places = [sentence.find(told[rule.__name__]) for rule in RULES]
    assert -1 not in places
    assert places == sorted(places)
