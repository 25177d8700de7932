"""What processes count: docs/metrics.md lists all of it, and every counter is there from 0 on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from commands.broker.broker_memory import BrokerFigures
from schemas.settings import Settings
from tests.deploy.conftest import MAILBOX
from tests.support.processes import ROOT

_ROW = re.compile(
    r"^\| `(?P<name>\w+)(?:\{(?P<labels>[\w,]+)\})?` \| (?P<kind>\w+) \| (?P<means>.+?) \| (?P<look>.+?) \|$"
)
_ROLES = ("ingest", "worker", "inbox")


def listed() -> dict[str, dict[str, re.Match[str]]]:
    """The rows of the page by process and name."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    found = {}
    for section in page.split("\n## ")[1:]:
        role, _, text = section.partition("\n")
        rows = [row for line in text.splitlines() if (row := _ROW.match(line))]
        found[role] = {row["name"]: row for row in rows}
        assert len(rows) == text.count("\n| `"), f"a row of {role} is not a row"
    return found


def families(text: str) -> Iterator[tuple[str, Metric]]:
    """Ours, by the name that a query has: a counter's with `_total`."""
    for family in text_string_to_metric_families(text):
        if family.name.startswith("sendlens_") and not family.name.endswith("_created"):
            yield family.name + ("_total" if family.type == "counter" else ""), family


@pytest.mark.parametrize("role", _ROLES)
def test_the_page_lists_every_metric_and_no_other(fresh: Mapping[str, str], role: str) -> None:
    rows = listed()
    everyones = {name: row for name, row in rows["ingest"].items() if "Every process has it" in row["means"]}
    counted = dict(families(fresh[role]))
    assert set(counted) == set(rows[role] | everyones)
    for name, family in counted.items():
        row = (rows[role] | everyones)[name]
        assert row["kind"] == family.type, name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if family.samples:
            assert labels == set((row["labels"] or "").split(",")) - {""}, name


def test_what_is_told_of_the_broker_is_on_the_page_and_there_from_nought_on(tmp_path: Path) -> None:
    figures = BrokerFigures(Settings(_env_file=None, data_dir=tmp_path), lambda: None)  # type: ignore[call-arg]
    told = dict(families(generate_latest(figures.registry).decode()))
    assert set(told) == set(listed()["broker"]) | {"sendlens_samples_dropped_total"}  # every process has it
    assert {sample.value for one in told.values() for sample in one.samples if sample.name.endswith("_total")} == {0.0}


@pytest.mark.parametrize("role", _ROLES)
def test_every_counter_is_there_from_nought_on(fresh: Mapping[str, str], role: str) -> None:
    """Else the first loss is a series that appears at 1, in which `increase()` sees none."""
    rows = listed()[role]
    for name, family in families(fresh[role]):
        if family.type == "counter" and name in rows and "*Once seen.*" not in rows[name]["means"]:
            values = [sample.value for sample in family.samples if sample.name.endswith("_total")]
            assert values, f"{name} is not there"
            # What is away already in this installation is counted already.
            if name not in ("sendlens_inbox_reconnects_total", "sendlens_samples_dropped_total"):
                assert set(values) == {0.0}, name


@pytest.mark.parametrize(
    ("role", "series"),
    [
        ("ingest", 'sendlens_hits_lost_total{reason="shutdown"} 0.0'),
        ("ingest", 'sendlens_hits_total{kind="click",result="refused"} 0.0'),
        ("ingest", 'sendlens_hits_rejected_total{kind="open",reason="in-flight"} 0.0'),
        ("ingest", 'sendlens_spool_refused_hits_total{reason="disk"} 0.0'),
        ("worker", 'sendlens_dead_letters_total{reason="rows-refused",stage="store"} 0.0'),
        ("worker", 'sendlens_dead_letters_total{reason="error",stage="webhooks"} 0.0'),
        ("worker", 'sendlens_sender_waiting{state="unanswered"} 0.0'),
        ("worker", 'sendlens_sender_unreachable_total{what="store"} 0.0'),
        ("worker", 'sendlens_sender_emails_total{outcome="skipped-paused"} 0.0'),
        ("worker", 'sendlens_webhook_endpoints{state="disabled"} 0.0'),
        ("inbox", f'sendlens_inbox_connected{{mailbox="{MAILBOX}"}} 0.0'),
        ("inbox", f'sendlens_inbox_mails_total{{mailbox="{MAILBOX}",result="unreadable"}} 0.0'),
        ("inbox", "sendlens_inbox_away_mailboxes 1.0"),
    ],
)
def test_what_rules_watch_is_there_with_each_of_its_values(fresh: Mapping[str, str], role: str, series: str) -> None:
    assert series in fresh[role].splitlines()
