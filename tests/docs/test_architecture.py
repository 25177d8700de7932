"""docs/architecture.md and its reference say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.pipeline import STAGES
from decisions.robots.rules import RULES
from schemas.settings import Settings
from schemas.topics import ALL
from tests.docs.shown import documents
from tests.support.processes import ROOT

DOCS = ROOT / "docs"
TEXT = (DOCS / "architecture.md").read_text()
REFERENCE = {path.stem: path.read_text() for path in DOCS.glob("reference/*.md")}
_DAY_MS = 86_400_000


def table(heading: str, text: str = TEXT) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    _, _, rest = text.partition(f"\n## {heading}\n")
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
    assert table("Topics", REFERENCE["contracts"]) == [
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


@pytest.mark.parametrize("document", documents(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(document: Path) -> None:
    """A path of the sources, that is: what git ignores (`build/`) a fresh clone does not have."""
    made = tuple(f"{line.strip('/')}/" for line in (ROOT / ".gitignore").read_text().split() if line.endswith("/"))
    for name in re.findall(r"`([\w/]+/[\w.]*)`(?! \(new:)", document.read_text()):
        if not name.startswith(("/", *made)) and name != "application/json":
            assert (ROOT / name).exists(), name


def test_the_times_it_tells_are_the_defaults() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert f"A hit waits {defaults['settle_seconds']:.0f} s" in REFERENCE["judging"]
    assert (
        f"after {defaults['answer_within_ms'] / 1000:.0f} s without it, the spool on disk" in REFERENCE["acknowledged"]
    )


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
    _, _, sentence = REFERENCE["judging"].replace("\n", " ").partition("the first that speaks decides:")
    places = [sentence.find(told[rule.__name__]) for rule in RULES]
    assert -1 not in places
    assert places == sorted(places)
