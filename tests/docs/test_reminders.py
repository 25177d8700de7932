"""A change that takes a second file says which, where no other test does: docs/change.md names these tests."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args, get_type_hints

from agents.pipeline import STORE
from agents.store import store
from clickhouse.queries import get
from commands.backup import refill
from decisions.effects.webhook_messages import signed
from decisions.robots import rules
from decisions.sending import clip, rewrite
from schemas.events import Campaign, EmailEvent
from schemas.languages import WORDS
from schemas.topics import DELIVERIES
from tests.support.processes import ROOT

DECISIONS = ROOT / "decisions"
DOCS = ROOT / "docs"


def _imported(path: Path) -> set[Path]:
    """The files of `decisions/` that a file of it imports, and so on from those."""
    found: set[Path] = set()
    ahead = [path]
    while ahead:
        one = ahead.pop()
        found.add(one)
        names = [node.module for node in ast.walk(ast.parse(one.read_text())) if isinstance(node, ast.ImportFrom)]
        files = {ROOT / (name.replace(".", "/") + ".py") for name in names if name and name.startswith("decisions.")}
        ahead += files - found
    return found


def test_the_version_of_the_rules_covers_every_file_that_they_are_made_of() -> None:
    """Else a rule in a file of its own could change, and `reclassify` would take its old verdicts for today's."""
    files = {str(path.relative_to(DECISIONS)) for path in _imported(DECISIONS / "robots" / "rules.py")}
    assert files == {name for name in rules._RULE_FILES if name.endswith(".py")}
    for name in files:
        read = set(re.findall(r"\"(\w+\.tsv)\"", (DECISIONS / name).read_text()))
        assert {f"data/{table}" for table in read} <= set(rules._RULE_FILES), name


def test_every_topic_that_the_store_takes_is_read_by_it() -> None:
    assert set(store._DECODERS) == set(STORE.takes)


def test_every_topic_that_the_store_takes_has_its_table() -> None:
    made = "\n".join(path.read_text() for path in (ROOT / "clickhouse" / "schema").glob("*.sql"))
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", made))
    assert {topic.table for topic in STORE.takes} <= tables


def test_every_state_that_is_stored_comes_back_to_a_new_broker() -> None:
    stored = {topic for topic in STORE.takes if topic.compacted}
    assert stored <= set(refill._HOLDS)
    for topic, (struct, _) in refill._HOLDS.items():
        assert get(f"refill_{topic.name}").sql, topic.name
        assert struct.__name__ == topic.holds or topic is DELIVERIES


def test_every_kind_of_an_emails_event_has_its_words_on_the_timeline() -> None:
    kinds = {str(event.__struct_config__.tag) for event in EmailEvent.__args__}
    words = re.findall(r"^    \('(\w+)', '", get("event_words").definition, re.MULTILINE)
    assert sorted(words) == sorted(kinds)


def test_the_documents_name_every_header_of_a_webhook() -> None:
    headers = signed([b"secret"], "id", datetime(2026, 3, 2, tzinfo=UTC), b"{}")
    assert set(re.findall(r"`(webhook-[a-z-]+)`", (DOCS / "webhooks.md").read_text())) == set(headers)


def test_the_documents_name_every_attribute_that_leaves_a_link_alone_and_each_does() -> None:
    told = re.findall(r"`([a-z:-]+)(?:=\"(\w+)\")?`", _table(DOCS / "tracking.md", "| in the tag |"))
    assert {name for name, _ in told} == rewrite._TRACKING | rewrite._NO_TRACKING
    for name, value in told:
        attribute = f'{name}="{value}"' if value else name
        (href,) = rewrite.scan(f'<a href="https://example.net/" {attribute}>x</a>').hrefs
        assert href.left_alone, attribute


def test_the_documents_name_every_place_of_the_pixel_and_every_warning() -> None:
    page = DOCS / "tracking.md"
    assert set(re.findall(r"^\| `(\w+)`", _table(page, "| `pixel` |"), re.M)) == set(
        get_args(get_type_hints(Campaign)["pixel"])
    )
    warnings = re.findall(r"^\| `([a-z-]+)`", _table(page, "| `warnings` |"), re.M)
    assert sorted(warnings) == sorted([clip.PIXEL_CLIPPED, clip.UNSUBSCRIBE_CLIPPED, clip.MAY_BE_CLIPPED])


def _table(page: Path, head: str) -> str:
    """The rows of the table whose head begins so."""
    return page.read_text().split(f"\n{head}")[1].split("|\n", 2)[2].split("\n\n")[0]


def test_the_documents_name_every_language_of_the_pages() -> None:
    (sentence,) = re.findall(r"speak (.+?)\.", (DOCS / "sending.md").read_text().replace("\n", " "))
    assert re.findall(r"`(\w+)`", sentence) == sorted(path.stem for path in WORDS.glob("*.toml"))


def test_the_documents_say_by_which_limit_a_campaign_is_paused() -> None:
    campaign = Campaign(id="spring", name="Spring", created_at=datetime(2026, 3, 2, tzinfo=UTC))
    said = f"More than {campaign.bounce_limit * 100:.0f} % hard bounces of the emails sent, once {campaign.bounce_min_sends}"
    assert said in (DOCS / "pauses.md").read_text()
