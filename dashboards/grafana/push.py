"""Brings a running Grafana to what is written here: folders, datasource, boards and alert rules, each by its own uid.

What Grafana has is asked first, so a second run changes nothing. Grafana adds to what it is given (ids, versions,
defaults), so a thing is as it should be when all that we say of it is so; what we say nothing of is left to others.
What Grafana provisions from files of its own it lets nobody else change: such a thing is left alone and named.
https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

from dashboards.boards import BOARDS
from dashboards.grafana import alerts
from dashboards.grafana.alert_rules import RULES, Rule
from dashboards.grafana.client import Grafana
from dashboards.grafana.model import dashboard
from dashboards.grafana.source import PLUGIN, PROVISIONED
from schemas.errors import Misconfigured
from schemas.settings import Settings

FOLDER_UID, FOLDER = "sendlens", "Sendlens"
_TIMEOUT_SECONDS = 20.0
# The plugin's client asks for five seconds more than its own deadline, and `reader` may ask for 60.
_FIRST = {"queryTimeout": "55"}  # whoever has another keeps it


class PushOutcome(StrEnum):
    """What became of a thing."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"


@dataclass(frozen=True)
class PushChange:
    """An object in Grafana, and what was done to it. `note` is for the operator."""

    thing: str
    outcome: PushOutcome
    note: str = ""

    def __str__(self) -> str:
        return f"{self.thing}: {self.outcome}{f' ({self.note})' if self.note else ''}"


def push(settings: Settings) -> Iterator[PushChange]:
    """Bring Grafana up to date, one thing after the other, in the order in which they need each other.

    Raises Misconfigured when a setting is missing, Retry when Grafana is away, Reject when it refuses; what was yielded
    by then is done.
    """
    if not settings.grafana_url:
        raise Misconfigured("SENDLENS_GRAFANA_URL is not set: it names the Grafana that the boards go to")
    if not settings.grafana_token:
        raise Misconfigured("SENDLENS_GRAFANA_TOKEN is not set: make a service account of the role Admin in Grafana")
    if not settings.clickhouse_reader_password:
        raise Misconfigured("SENDLENS_CLICKHOUSE_READER_PASSWORD is not set: Grafana asks ClickHouse as `reader`")
    with Grafana(settings, _TIMEOUT_SECONDS) as grafana:
        yield from _all(grafana, settings)


def _all(grafana: Grafana, settings: Settings) -> Iterator[PushChange]:
    yield _folder(grafana, FOLDER_UID, FOLDER)
    yield _datasource(grafana, settings)
    for board in BOARDS:
        yield _board(grafana, dashboard(board))
    yield _folder(grafana, alerts.FOLDER_UID, alerts.FOLDER)
    for rule in RULES:
        yield _rule(grafana, rule)


def _folder(grafana: Grafana, uid: str, title: str) -> PushChange:
    thing = f"folder {title}"
    there = grafana.get(f"/folders/{uid}")
    if there is None:
        grafana.send("POST", "/folders", {"uid": uid, "title": title})
        return PushChange(thing, PushOutcome.CREATED)
    if there.get("title") == title:
        return PushChange(thing, PushOutcome.UNCHANGED)
    body = {"title": title, "version": there.get("version")}
    grafana.send("PUT", f"/folders/{uid}", body)
    return PushChange(thing, PushOutcome.UPDATED)


def _datasource(grafana: Grafana, settings: Settings) -> PushChange:
    """Grafana never reveals the password it has; its health check against ClickHouse shows whether it is right."""
    thing = "datasource Sendlens"
    path = f"/datasources/uid/{PROVISIONED}"
    wanted = datasource(settings)
    secret = {"secureJsonData": {"password": settings.clickhouse_reader_password}}
    there = grafana.get(path)
    if there is None:
        settings_of_it = {"jsonData": {**_FIRST, **wanted["jsonData"]}}
        grafana.send("POST", "/datasources", wanted | settings_of_it | secret)
        return PushChange(thing, PushOutcome.CREATED, _complaint(grafana))
    if there.get("readOnly"):
        return PushChange(thing, PushOutcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    same = says(there, wanted)
    if same and not _complaint(grafana):
        return PushChange(thing, PushOutcome.UNCHANGED)
    kept = {"isDefault": there.get("isDefault", False), "version": there.get("version")}
    more = {"jsonData": {**_FIRST, **(there.get("jsonData") or {}), **wanted["jsonData"]}}
    grafana.send("PUT", path, wanted | kept | more | secret)
    return PushChange(thing, PushOutcome.UPDATED, _complaint(grafana))


def datasource(settings: Settings) -> dict[str, Any]:
    """The datasource as /api/datasources takes it, the password aside."""
    url = urlsplit(settings.grafana_clickhouse_url or settings.clickhouse_url)
    secure = url.scheme == "https"
    return {
        "uid": PROVISIONED,
        "name": "Sendlens",
        "type": PLUGIN,
        "access": "proxy",
        "jsonData": {
            "host": url.hostname,
            "port": url.port or (8443 if secure else 8123),
            "protocol": "http",
            "secure": secure,
            "path": url.path,
            "username": "reader",
            "defaultDatabase": settings.clickhouse_database,
        },
    }


def _complaint(grafana: Grafana) -> str:
    """The datasource's error when it queries ClickHouse; nothing when that works."""
    status, answer = grafana.probe(f"/datasources/uid/{PROVISIONED}/health")
    if status == 200:
        return ""
    return f"it does not reach ClickHouse: {str(answer.get('message') or status)[:200]}"


def _board(grafana: Grafana, wanted: Mapping[str, Any]) -> PushChange:
    """Grafana may bring a board to a newer form, so its history is asked too: our message there names what we saved."""
    thing = f"board {wanted['title']}"
    path = f"/dashboards/uid/{wanted['uid']}"
    there = grafana.get(path)
    model = {name: value for name, value in wanted.items() if name != "version"}
    message = f"sendlens boards push {sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]}"
    body = {"folderUid": FOLDER_UID, "message": message, "overwrite": False}
    if there is None:
        grafana.send("POST", "/dashboards/db", body | {"dashboard": model})
        return PushChange(thing, PushOutcome.CREATED)
    meta, old = there.get("meta", {}), there.get("dashboard", {})
    if meta.get("provisioned"):
        return PushChange(thing, PushOutcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    is_in_place = meta.get("folderUid", FOLDER_UID) == FOLDER_UID
    if is_in_place and (says(old, model) or _newest_message(grafana, path) == message):
        return PushChange(thing, PushOutcome.UNCHANGED)
    # With the version that was read and without `overwrite`, somebody else's change in between is not lost unseen.
    model |= {"id": old.get("id"), "version": old.get("version")}
    grafana.send("POST", "/dashboards/db", body | {"dashboard": model})
    return PushChange(thing, PushOutcome.UPDATED)


def _newest_message(grafana: Grafana, path: str) -> str:
    """The message of a board's newest version; nothing where Grafana reports none."""
    status, answer = grafana.probe(f"{path}/versions?limit=1")
    versions = answer.get("versions") if status == 200 else None
    return str(versions[0].get("message", "")) if versions else ""


def _rule(grafana: Grafana, rule: Rule) -> PushChange:
    thing = f"alert {rule.title}"
    rules = "/v1/provisioning/alert-rules"
    path = f"{rules}/{quote(rule.uid)}"
    wanted = alerts.for_api(rule)
    there = grafana.get(path)
    if there is None:
        grafana.send("POST", rules, wanted | {"orgID": 1})  # Grafana takes the token's, but wants one
        return PushChange(thing, PushOutcome.CREATED)
    if there.get("provenance") == "file":
        return PushChange(thing, PushOutcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    if says(there, wanted):
        return PushChange(thing, PushOutcome.UNCHANGED)
    grafana.send("PUT", path, wanted | {"orgID": there.get("orgID", 1)})
    return PushChange(thing, PushOutcome.UPDATED)


def says(there: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is so: what is there besides does not count, except in a list, where all counts.

    What is empty or zero may as well not be there: Grafana leaves some of it out.
    """
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            says(there[name], value) if name in there else not value for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(says(*pair) for pair in zip(there, wanted, strict=True))
        )
    return bool(there == wanted)
