"""Alert rules: what fires and what does not, counted by hand, and both forms in which Grafana takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from clickhouse.store import connect, insert_lines
from dashboards import grafana
from dashboards.boards import BOARDS
from dashboards.grafana import alerts
from dashboards.grafana.check import check
from dashboards.grafana.source import PROVISIONED
from dashboards.grafana.trial import as_asked, run_rules
from schemas.events import lines
from schemas.settings import Settings
from tests.dashboards.data import Email

ALSO_DATABASES = ("lagging", "troubled")
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LATELY = datetime.now(UTC).replace(microsecond=0)  # ClickHouse keeps samples for 14 days of its own clock

# Campaign: emails sent, of which bounced hard, and how long before noon.
SENT = {
    "bad": (120, 3, timedelta(hours=1)),  # 2.5 %
    "good": (100, 2, timedelta(hours=1)),  # 2 %, which is not more than 2 %
    "small": (99, 50, timedelta(hours=1)),
    "old": (200, 100, timedelta(hours=25)),
    "owner's \\ {{ .pick }}": (100, 100, timedelta(hours=23)),
}


@pytest.fixture(scope="module")
def bouncing(own_database: Settings) -> Iterator[Client]:
    """The campaigns of SENT, every event stored twice."""
    with connect(own_database) as client:
        for campaign, (sent, hard, ago) in SENT.items():
            emails = [Email(campaign, 1, "", f"lead-{n}", NOON - ago) for n in range(sent)]
            events = [email.sent() for email in emails] + [email.bounced("hard") for email in emails[:hard]]
            for _ in range(2):
                insert_lines(client, "events", lines(events))
        client.insert("campaigns", [["bad", "Bad list", NOON]], column_names=["id", "name", "created_at"])
        yield client


@pytest.fixture
def alerting() -> dict[str, Any]:
    """The file of provisioning; free to be spoilt."""
    loaded: dict[str, Any] = json.loads(grafana.render()[grafana.PROVISIONING / "alerting" / "sendlens.json"])
    return loaded


def rule(alerting: dict[str, Any], uid: str) -> dict[str, Any]:
    (found,) = [one for group in alerting["groups"] for one in group["rules"] if one["uid"] == uid]
    assert isinstance(found, dict)
    return found


def firing(rule: dict[str, Any], client: Client, at: datetime) -> dict[tuple[str, ...], float]:
    """The alerts of a rule, as Grafana's threshold expression takes what its query gives."""
    asked, compared = rule["data"]
    evaluator = compared["model"]["conditions"][0]["evaluator"]
    assert (compared["model"]["expression"], evaluator["type"]) == (asked["refId"], "gt")
    rows = [tuple(row) for row in client.query(as_asked(asked, at)).result_rows]
    return {tuple(map(str, row[:-1])): row[-1] for row in rows if row[-1] > evaluator["params"][0]}


def test_a_campaign_that_bounces_too_much_fires_and_no_other(alerting: dict[str, Any], bouncing: Client) -> None:
    found = firing(rule(alerting, "sendlens-hard-bounces"), bouncing, NOON)
    assert found == {
        ("bad", "Bad list"): pytest.approx(3 / 120),
        ("owner's \\ {{ .pick }}", "owner's \\ {{ .pick }}"): 1.0,
    }


def told(stage: str, name: str, at: datetime, value: float, reason: str = "") -> dict[str, object]:
    """A figure of a worker's."""
    born = LATELY - DAY
    return {
        "at": at.isoformat(), "role": "worker", "instance": "host:1", "started_at": born.isoformat(),
        "name": name, "stage": stage, "reason": reason, "value": value,
    }  # fmt: skip


@pytest.fixture(scope="module")
def lagging(own_database: Settings) -> Iterator[Client]:
    """A worker that told of two stages every 10 s up to now; judge lags, and set 2 records aside a quarter of an hour ago."""
    figures = []
    for n in range(2 * 360):
        at = LATELY - timedelta(seconds=10 * n + 1)
        for stage, lag in (("judge", 10_001.0), ("store", 10_000.0)):
            figures.append(told(stage, "sendlens_stage_lag_records", at, lag))
            figures.append(told(stage, "sendlens_records_held", at, 0.0))
        aside = 7.0 if at > LATELY - timedelta(minutes=15) else 5.0
        figures.append(told("judge", "sendlens_dead_letters_total", at, aside, "unreadable"))
    with connect(own_database, database="lagging") as client:
        insert_lines(client, "samples", b"\n".join(json.dumps(figure).encode() for figure in figures))
        yield client


def test_a_stage_that_lags_fires_and_no_other(alerting: dict[str, Any], lagging: Client) -> None:
    lag = rule(alerting, "sendlens-lag")
    assert firing(lag, lagging, LATELY) == {("judge",): 10_001}
    assert lag["for"] == "10m"


def test_when_no_worker_tells_there_is_no_row_which_grafana_tells_of(alerting: dict[str, Any], lagging: Client) -> None:
    lag = rule(alerting, "sendlens-lag")
    assert lagging.query(as_asked(lag["data"][0], LATELY + timedelta(minutes=2))).result_rows == []
    assert lag["noDataState"] == "NoData"


def test_dead_letters_fire_for_an_hour(alerting: dict[str, Any], lagging: Client) -> None:
    dead = rule(alerting, "sendlens-dead-letters")
    assert firing(dead, lagging, LATELY) == {("judge",): 2}
    assert firing(dead, lagging, LATELY - timedelta(minutes=20)) == {}


def of_process(role: str, instance: str, name: str, at: datetime, value: float, **labels: str) -> dict[str, object]:
    return told("", name, at, value) | {"role": role, "instance": instance} | labels


@pytest.fixture(scope="module")
def troubled(own_database: Settings) -> Iterator[Client]:
    """Two ingests and an inbox that told every 10 s of the last two hours up to now. Of each kind of trouble one case, and
    beside it what is none; a quarter of an hour ago hits were lost and refused."""
    figures = []
    for n in range(2 * 360):
        at = LATELY - timedelta(seconds=10 * n + 1)
        lately = at > LATELY - timedelta(minutes=15)
        for instance, age, refused in (("a:1", 301.0, 4.0), ("b:1", 300.0, 0.0)):
            counted = partial(of_process, "ingest", instance)
            figures += [
                counted("sendlens_spool_age_seconds", at, age),
                counted("sendlens_hits_lost_total", at, refused if lately else 0.0, reason="shutdown"),
                counted("sendlens_hits_total", at, 3 * refused if lately else 0.0, kind="open", result="refused"),
                counted("sendlens_hits_total", at, 100.0 + n, kind="open", result="recorded"),
            ]
        for instance, away in (("a:2", 2.0), ("b:2", 0.0)):
            figures.append(of_process("inbox", instance, "sendlens_inbox_away_mailboxes", at, away))
    with connect(own_database, database="troubled") as client:
        insert_lines(client, "samples", b"\n".join(json.dumps(figure).encode() for figure in figures))
        waits = ["delivery_id", "request_id", "campaign", "step", "lead", "sender", "state", "first_at", "due_at", "at"]
        rows = [
            [uuid4(), uuid4(), "spring", 1, f"lead-{n}", sender, state, NOON, NOON, NOON]
            for n, (sender, state) in enumerate(
                [("anna@x", "unanswered")] * 2 + [("bert@x", "deferred"), ("", "settled")]
            )
        ]
        client.insert("retries", rows, column_names=waits)
        endpoints = [
            [UUID(int=n), f"https://crm.example.com/hook?key={n}", [], NOON, state, NOON, "410 Gone"]
            for n, state in enumerate(("enabled", "disabled", "removed"))
        ]
        names = ["id", "url", "kinds", "created_at", "state", "since", "reason"]
        client.insert("webhooks", endpoints, column_names=names)
        yield client


FIRING = {
    "sendlens-hits": {("lost",): 4, ("refused",): 12},
    "sendlens-spool": {("a:1",): 301.0},
    "sendlens-inbox": {("a:2",): 2.0},
    "sendlens-unanswered": {("anna@x",): 2},
    "sendlens-webhooks": {(str(UUID(int=1)), "crm.example.com"): 1},
}


@pytest.mark.parametrize("uid", FIRING)
def test_each_trouble_fires_and_what_is_none_does_not(uid: str, alerting: dict[str, Any], troubled: Client) -> None:
    assert firing(rule(alerting, uid), troubled, LATELY) == FIRING[uid]


def test_hits_that_were_lost_are_told_of_for_an_hour(alerting: dict[str, Any], troubled: Client) -> None:
    assert firing(rule(alerting, "sendlens-hits"), troubled, LATELY - timedelta(minutes=20)) == {}


def test_a_webhooks_secret_is_in_no_alert(alerting: dict[str, Any], troubled: Client) -> None:
    asked = rule(alerting, "sendlens-webhooks")["data"][0]
    assert "key=" not in str(troubled.query(as_asked(asked, LATELY)).result_rows)


def test_yesterdays_bounces_are_forgotten(alerting: dict[str, Any], bouncing: Client) -> None:
    assert firing(rule(alerting, "sendlens-hard-bounces"), bouncing, NOON + 2 * DAY) == {}


def test_every_rule_runs_and_gives_texts_and_one_number(
    alerting: dict[str, Any], bouncing: Client, troubled: Client, client: Client, empty_client: Client
) -> None:
    for database in (bouncing, troubled, client, empty_client):
        assert list(run_rules(alerting, database, NOON)) == []


def asked(alerting: dict[str, Any]) -> dict[str, Any]:
    model = alerting["groups"][0]["rules"][0]["data"][0]["model"]
    assert isinstance(model, dict)
    return model


def spoil_rule(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda alerting: alerting["groups"][0]["rules"][0].update({name: value})


def spoil_sql(sql: str) -> Callable[[dict[str, Any]], None]:
    return lambda alerting: asked(alerting).update(rawSql=sql)


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no uid": (spoil_rule("uid", ""), "uid must have"),
    "no title": (spoil_rule("title", ""), "no title"),
    "a dollar": (
        spoil_rule("annotations", {"summary": "{{ $labels.x }}", "description": "Of all."}),
        "summary has a dollar",
    ),
    "no denominator": (spoil_rule("annotations", {"summary": "x", "description": "Many."}), "the denominator"),
    "no summary": (spoil_rule("annotations", {"description": "Of all."}), "no summary"),
    "leads nowhere": (spoil_rule("dashboardUid", ""), "leads to no panel"),
    "no condition": (spoil_rule("condition", "C"), "condition is none"),
    "two datasources": (lambda a: asked(a)["datasource"].update(uid="other"), "names two datasources"),
    "a twin": (lambda a: a["groups"][0]["rules"].append(a["groups"][0]["rules"][0]), "is on 2 rules"),
    "does not run": (spoil_sql("SELECT nonsense"), "Campaign bounces: "),
    "a viewer's choice": (spoil_sql("SELECT '${campaign:percentencode}', 1"), "knows no variables"),
    "a browser's macro": (spoil_sql("SELECT $__conditionalAll(1, 2)"), "nothing replaces $__conditionalAll"),
    "two numbers": (spoil_sql("SELECT 'a' AS a, 1 AS b, 2 AS c"), "texts and one number"),
    "a time": (spoil_sql("SELECT now() AS time, 1 AS b"), "texts and one number"),
    "twins": (spoil_sql("SELECT 'a' AS a, arrayJoin([1, 2]) AS n"), "not told apart"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_sees(fault: str, alerting: dict[str, Any], client: Client) -> None:
    apply, complaint = FAULTS[fault]
    assert check(None, None, alerting) == []
    apply(alerting)
    assert complaint in "\n".join([*check(None, None, alerting), *run_rules(alerting, client)])


def test_the_rules_ask_the_datasource_that_is_provisioned_beside_them(alerting: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((grafana.PROVISIONING / "datasources/sendlens.yaml").read_text())["datasources"]
    assert source["uid"] == PROVISIONED == asked(alerting)["datasource"]["uid"]


def test_the_rules_have_a_folder_of_their_own_because_grafana_makes_it_before_that_of_the_boards(
    alerting: dict[str, Any],
) -> None:
    (provider,) = yaml.safe_load((grafana.PROVISIONING / "dashboards/sendlens.yaml").read_text())["providers"]
    assert {group["folder"] for group in alerting["groups"]}.isdisjoint({provider["folder"]})


def test_grafanas_reader_of_yaml_reads_the_file(alerting: dict[str, Any]) -> None:
    """It takes JSON in this folder, but through its parser of YAML."""
    text = (grafana.PROVISIONING / "alerting" / "sendlens.json").read_text()
    assert yaml.safe_load(text) == alerting


def test_each_rule_leads_to_a_panel_that_is_there(alerting: dict[str, Any]) -> None:
    panels = {(board.uid, panel.id) for board in BOARDS for panel in board.panels}
    for group in alerting["groups"]:
        for one in group["rules"]:
            assert (one["dashboardUid"], one["panelId"]) in panels
            places = one["annotations"]
            assert (places["__dashboardUid__"], places["__panelId__"]) == (one["dashboardUid"], str(one["panelId"]))


@pytest.mark.parametrize(
    ("length", "written"),
    [(300, "5m"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (5400, "1h30m"), (0, "0s")],
)
def test_durations_are_written_as_grafana_answers_them(length: int, written: str) -> None:
    assert alerts.duration(timedelta(seconds=length)) == written
