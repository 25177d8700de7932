"""The rules for Prometheus: Prometheus' own tool takes them, they fire when they should, and what they ask for is there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.grafana.alert_rules import RULES as GRAFANAS
from tests.deploy import tools
from tests.deploy.test_metrics import families
from tests.support.processes import ROOT

FILE = ROOT / "deploy" / "prometheus" / "sendlens.rules.yml"
ALERTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["groups"][0]["rules"]
_NAME = re.compile(r"\b(sendlens_\w+)(?:\{(?P<labels>[^}]*)\})?")
_LABEL = re.compile(r'(\w+)(=~?)"([^"]*)"')
# What Grafana asks ClickHouse, and these ask `/metrics`.
SAME = {
    "sendlens-lag": ["SendlensLag"],
    "sendlens-dead-letters": ["SendlensDeadLetters"],
    "sendlens-hits": ["SendlensHitsLost", "SendlensHitsRefused"],
    "sendlens-spool": ["SendlensSpoolOld"],
    "sendlens-unanswered": ["SendlensUnanswered"],
    "sendlens-inbox": ["SendlensMailboxAway"],
    "sendlens-webhooks": ["SendlensWebhookDisabled"],
}


def test_prometheus_takes_the_rules() -> None:
    code, said = tools.run("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(FILE))
    assert code == 0, said
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_each_trouble_fires_and_what_is_well_does_not(tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path)
    shutil.copy(Path(__file__).with_name("rules.test.yml"), tmp_path)
    code, said = tools.run("promtool", "test", "rules", "rules.test.yml", folder=tmp_path)
    assert code == 0, said


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_what_a_rule_asks_for_is_there_before_anything_happened(
    fresh: Mapping[str, str], alert: dict[str, Any]
) -> None:
    """By name, and a series for each value of a label that it names."""
    counted = {name: family for text in fresh.values() for name, family in families(text)}
    for found in _NAME.finditer(alert["expr"]):
        series = [sample for sample in counted[found[1]].samples if sample.name == found[1]]
        assert series, found[1]
        for label, matches, wanted in _LABEL.findall(found["labels"] or ""):
            values = {sample.labels[label] for sample in series}
            for value in wanted.split("|") if matches == "=~" else [wanted]:
                assert value in values, f"{found[1]}: no {label} {value}"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_a_rule_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert set(alert["annotations"]) == {"summary", "description"}
    assert alert["annotations"]["description"].count(".") >= 1


def test_what_grafana_tells_of_prometheus_tells_of_too() -> None:
    """But for campaigns' bounces, which no process knows: they are asked of ClickHouse."""
    assert {rule.uid for rule in GRAFANAS} == set(SAME) | {"sendlens-hard-bounces"}
    there = {alert["alert"] for alert in ALERTS}
    assert {name for names in SAME.values() for name in names} <= there
