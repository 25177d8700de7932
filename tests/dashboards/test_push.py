"""`sendlens boards push`: Grafana is brought to what is written, said line by line, and a second time nothing changes.

Grafana is a real HTTP server that behaves as its API documentation says (tests/support/grafana.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from dashboards.boards import BOARDS
from dashboards.grafana.alert_rules import RULES
from dashboards.grafana.alerts import FOLDER_UID
from dashboards.grafana.push import PushChange, PushOutcome, push, says
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings, load
from tests.support.grafana import EDITOR, TOKEN, Grafana, serving
from tests.support.processes import ROOT, free_port
from tests.support.served import served

PASSWORD = "reader-of-these-tests"
SOURCE = "sendlens-clickhouse"
OVERVIEW = "sendlens-overview"
THINGS = 3 + len(BOARDS) + len(RULES)  # two folders and the datasource


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    """It reaches ClickHouse at db.internal, with the right password."""
    with serving(reaches=lambda at, password: (at["host"], password) == ("db.internal", PASSWORD)) as server:
        yield server


def settings_for(url: str, **more: Any) -> Settings:
    given = {
        "grafana_url": url,
        "grafana_token": TOKEN,
        "grafana_clickhouse_url": "http://db.internal:8123",
        "clickhouse_reader_password": PASSWORD,
        "token_keys": "1:a-key-of-these-tests",
    }
    return Settings(_env_file=None, **(given | more))  # type: ignore[arg-type]  # pydantic checks them


def pushed(grafana: Grafana, **more: Any) -> list[PushChange]:
    return list(push(settings_for(grafana.url, **more)))


def outcome(changes: list[PushChange], thing: str) -> PushChange:
    (found,) = [change for change in changes if change.thing == thing]
    return found


def test_an_empty_grafana_gets_everything(grafana: Grafana) -> None:
    changes = pushed(grafana)
    assert {change.outcome for change in changes} == {PushOutcome.CREATED}
    assert not [change for change in changes if change.note]
    assert set(grafana.folders) == {"sendlens", FOLDER_UID}
    assert set(grafana.dashboards) == {board.uid for board in BOARDS}
    assert {saved["meta"]["folderUid"] for saved in grafana.dashboards.values()} == {"sendlens"}
    assert set(grafana.rules) == {rule.uid for rule in RULES}
    assert {rule["folderUID"] for rule in grafana.rules.values()} == {FOLDER_UID}
    source = grafana.datasources[SOURCE]
    assert (source["type"], source["isDefault"]) == ("grafana-clickhouse-datasource", False)
    assert source["jsonData"]["username"] == "reader"
    assert int(source["jsonData"]["queryTimeout"]) + 5 <= 60, "its client asks for five seconds more; reader has 60"
    assert grafana.passwords[SOURCE] == PASSWORD


def test_a_second_time_nothing_changes(grafana: Grafana) -> None:
    pushed(grafana)
    writes, before = grafana.writes, json.dumps([grafana.dashboards, grafana.rules, grafana.datasources])
    changes = pushed(grafana)
    assert {change.outcome for change in changes} == {PushOutcome.UNCHANGED}
    assert len(changes) == THINGS
    assert grafana.writes == writes
    assert json.dumps([grafana.dashboards, grafana.rules, grafana.datasources]) == before


def test_what_somebody_changed_is_put_right_and_named_and_the_rest_let_be(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.edit(OVERVIEW, lambda board: board["panels"][3].update(title="Mine"))
    grafana.rules[RULES[0].uid]["data"][1]["model"]["conditions"][0]["evaluator"]["params"] = [0.5]
    grafana.folders["sendlens"]["title"] = "Mails"
    changes = {change.thing for change in pushed(grafana) if change.outcome is PushOutcome.UPDATED}
    assert changes == {"board Sendlens Overview", f"alert {RULES[0].title}", "folder Sendlens"}
    assert grafana.dashboards[OVERVIEW]["dashboard"]["version"] == 3
    assert {change.outcome for change in pushed(grafana)} == {PushOutcome.UNCHANGED}


def test_a_panel_that_was_added_is_taken_away(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.edit(OVERVIEW, lambda board: board["panels"].append({"id": 99, "title": "Mine"}))
    assert outcome(pushed(grafana), "board Sendlens Overview").outcome is PushOutcome.UPDATED
    assert all(panel["title"] != "Mine" for panel in grafana.dashboards[OVERVIEW]["dashboard"]["panels"])


def test_a_grafana_that_writes_boards_anew_is_not_told_the_same_twice(grafana: Grafana) -> None:
    """As later versions do, which bring a board's schema up to their own."""

    def up_to_date(model: dict[str, Any]) -> dict[str, Any]:
        model["schemaVersion"] += 1
        for panel in model["panels"]:
            panel["title"] = panel["title"].upper()
        return model

    pushed(grafana)
    grafana.shows = up_to_date
    assert {change.outcome for change in pushed(grafana)} == {PushOutcome.UNCHANGED}
    grafana.edit(OVERVIEW, lambda board: board["panels"][3].update(title="Mine"))
    assert outcome(pushed(grafana), "board Sendlens Overview").outcome is PushOutcome.UPDATED
    assert grafana.dashboards[OVERVIEW]["dashboard"]["panels"][3]["title"] != "Mine"


def test_a_board_that_was_moved_is_brought_back(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.dashboards[OVERVIEW]["meta"]["folderUid"] = ""
    assert outcome(pushed(grafana), "board Sendlens Overview").outcome is PushOutcome.UPDATED
    assert grafana.dashboards[OVERVIEW]["meta"]["folderUid"] == "sendlens"


def test_a_new_password_is_found_out_by_asking_clickhouse(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.passwords[SOURCE] = "the one before"
    assert outcome(pushed(grafana), "datasource Sendlens") == PushChange("datasource Sendlens", PushOutcome.UPDATED)
    assert grafana.passwords[SOURCE] == PASSWORD


def test_a_datasource_that_reaches_nothing_says_so(grafana: Grafana) -> None:
    change = outcome(pushed(grafana, grafana_clickhouse_url="https://elsewhere.internal"), "datasource Sendlens")
    assert change.outcome is PushOutcome.CREATED
    assert change.note == "it does not reach ClickHouse: Authentication failed"
    at = grafana.datasources[SOURCE]["jsonData"]
    assert (at["host"], at["port"], at["protocol"], at["secure"]) == ("elsewhere.internal", 8443, "http", True)


def test_without_an_address_for_grafana_it_is_told_ours(grafana: Grafana) -> None:
    pushed(grafana, grafana_clickhouse_url="", clickhouse_url="http://10.1.2.3:8123/ch")
    at = grafana.datasources[SOURCE]["jsonData"]
    assert (at["host"], at["port"], at["path"]) == ("10.1.2.3", 8123, "/ch")


def test_what_the_operator_added_to_the_datasource_stays(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.datasources[SOURCE]["isDefault"] = True
    grafana.datasources[SOURCE]["jsonData"] |= {"queryTimeout": "30", "port": 1}
    assert outcome(pushed(grafana), "datasource Sendlens").outcome is PushOutcome.UPDATED
    kept = grafana.datasources[SOURCE]
    assert (kept["isDefault"], kept["jsonData"]["queryTimeout"], kept["jsonData"]["port"]) == (True, "30", 8123)


def test_what_grafana_provisions_from_its_own_files_is_left_alone(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.datasources[SOURCE] |= {"readOnly": True, "access": "direct"}
    grafana.dashboards[OVERVIEW]["meta"]["provisioned"] = True
    grafana.dashboards[OVERVIEW]["dashboard"]["title"] = "older"
    grafana.rules[RULES[0].uid] |= {"provenance": "file", "title": "older"}
    writes = grafana.writes
    left = {change.thing: change.note for change in pushed(grafana) if change.outcome is PushOutcome.LEFT_ALONE}
    assert set(left) == {"datasource Sendlens", "board Sendlens Overview", f"alert {RULES[0].title}"}
    assert set(left.values()) == {"provisioned from a file of Grafana's"}
    assert grafana.writes == writes


def test_a_change_in_between_is_not_overwritten_unseen(grafana: Grafana) -> None:
    pushed(grafana)
    grafana.edit(OVERVIEW, lambda board: board["panels"][3].update(title="Mine"))

    def somebody_saves(path: str) -> None:
        if path.endswith(OVERVIEW):
            grafana.dashboards[OVERVIEW]["dashboard"]["version"] += 1

    grafana.after_reading = somebody_saves
    with pytest.raises(Reject, match=r"changed by someone else.*push again"):
        pushed(grafana)
    assert grafana.dashboards[OVERVIEW]["dashboard"]["panels"][3]["title"] == "Mine"


def test_a_folder_of_this_uid_that_is_there_is_used(grafana: Grafana) -> None:
    grafana.folders["sendlens"] = {"id": 7, "uid": "sendlens", "title": "Sendlens", "version": 3}
    assert outcome(pushed(grafana), "folder Sendlens").outcome is PushOutcome.UNCHANGED


def test_another_datasource_of_this_name_is_not_touched(grafana: Grafana) -> None:
    grafana.datasources["other"] = {"uid": "other", "name": "Sendlens", "readOnly": False}
    with pytest.raises(Reject, match="409, data source with the same name already exists"):
        pushed(grafana)


@pytest.mark.parametrize("token", ["of-somebody-else", "expired"])
def test_a_token_that_is_not_known_is_named(grafana: Grafana, token: str) -> None:
    with pytest.raises(Reject, match="SENDLENS_GRAFANA_TOKEN"):
        pushed(grafana, grafana_token=token)


def test_a_token_that_may_too_little_says_which_role_is_needed(grafana: Grafana) -> None:
    with pytest.raises(Reject, match=r"403, .*datasources:create.*role Admin"):
        pushed(grafana, grafana_token=EDITOR)


def test_a_grafana_that_is_away_is_a_matter_of_trying_again(grafana: Grafana) -> None:
    grafana.failures = 1
    with pytest.raises(Retry, match=r"SENDLENS_GRAFANA_URL.*502"):
        pushed(grafana)
    with pytest.raises(Retry, match="SENDLENS_GRAFANA_URL"):
        list(push(settings_for(f"http://127.0.0.1:{free_port()}")))


def test_something_else_at_the_address_is_not_taken_for_grafana() -> None:
    app = FastAPI()

    @app.get("/{path:path}")
    def page(path: str) -> HTMLResponse:
        return HTMLResponse("<h1>Hello</h1>")

    with served(app) as url, pytest.raises(Reject, match="does not answer as Grafana does"):
        list(push(settings_for(url)))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"grafana_url": ""}, "SENDLENS_GRAFANA_URL"),
        ({"grafana_token": ""}, "SENDLENS_GRAFANA_TOKEN"),
    ],
)
def test_what_is_not_set_is_named(given: dict[str, str], names: str) -> None:
    with pytest.raises(Misconfigured, match=names):
        list(push(settings_for("http://127.0.0.1:1", **given)))


def test_a_cluster_needs_the_readers_own_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SENDLENS_CLICKHOUSE_READER_PASSWORD", raising=False)
    cluster = load(
        mode="cluster", token_keys="1:a-key-of-these-tests", api_key="k" * 22, grafana_url="http://g", grafana_token="t"
    )
    with pytest.raises(Misconfigured, match="SENDLENS_CLICKHOUSE_READER_PASSWORD"):
        list(push(cluster))


def command(url: str, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {
        "SENDLENS_GRAFANA_URL": url,
        "SENDLENS_GRAFANA_TOKEN": TOKEN,
        "SENDLENS_GRAFANA_CLICKHOUSE_URL": "http://db.internal:8123",
        "SENDLENS_CLICKHOUSE_READER_PASSWORD": PASSWORD,
        "SENDLENS_TOKEN_KEYS": "1:a-key-of-these-tests",
    }
    return subprocess.run(
        [sys.executable, "-m", "sendlens", "boards", "push"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | given | settings,
        timeout=60,
    )


def test_the_command_says_what_changed_a_line_each(grafana: Grafana) -> None:
    first, second = command(grafana.url), command(grafana.url)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "boards push: board Sendlens Overview: created\n" in first.stdout
    assert f"boards push: {THINGS} created, 0 updated, 0 unchanged, 0 left alone\n" in first.stdout
    assert "boards push: datasource Sendlens: unchanged\n" in second.stdout
    assert f"boards push: 0 created, 0 updated, {THINGS} unchanged, 0 left alone\n" in second.stdout


def test_the_command_ends_with_1_and_a_sentence_when_grafana_is_away(grafana: Grafana) -> None:
    grafana.failures = 1
    away = command(grafana.url)
    assert away.returncode == 1
    assert "Try again" in away.stderr
    assert "Traceback" not in away.stderr


def test_the_command_ends_with_1_and_a_sentence_when_grafana_refuses(grafana: Grafana) -> None:
    refused = command(grafana.url, SENDLENS_GRAFANA_TOKEN=EDITOR)
    assert refused.returncode == 1
    assert "boards push: folder Sendlens: created" in refused.stdout
    assert "role Admin" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("there", "wanted", "so"),
    [
        ({"a": 1, "more": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": ""}, True),
        ({}, {"a": "x"}, False),
        ({"a": "x"}, {"a": ""}, False),
        ([1, 2], [1], False),
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([], {}, False),
    ],
)
def test_a_thing_is_as_it_should_be_when_all_that_is_said_of_it_is_so(there: Any, wanted: Any, so: bool) -> None:
    assert says(there, wanted) is so
