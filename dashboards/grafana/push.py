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

import httpx
from grafana_api.api import Api
from grafana_api.model import ERROR_MESSAGES, APIModel, RequestsMethods

from dashboards.boards import BOARDS
from dashboards.grafana import alerts
from dashboards.grafana.model import dashboard
from dashboards.grafana.source import PLUGIN, PROVISIONED
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

FOLDER_UID, FOLDER = "sendlens", "Sendlens"
_TIMEOUT_SECONDS = 20.0
_AWAY = (502, 503, 504)


class Outcome(StrEnum):
    """What became of a thing."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"


@dataclass(frozen=True)
class Change:
    """A thing of Grafana's, and what was done to it. `note` says what the operator should know besides."""

    thing: str
    outcome: Outcome
    note: str = ""

    def __str__(self) -> str:
        return f"{self.thing}: {self.outcome}{f' ({self.note})' if self.note else ''}"


def push(settings: Settings) -> Iterator[Change]:
    """Bring Grafana up to date, one thing after the other, in the order in which they need each other.

    Raises Misconfigured when a setting is missing, Retry when Grafana is away, Reject when it refuses; what was yielded
    by then is done.
    """
    if not settings.grafana_url:
        raise Misconfigured("SENDLENS_GRAFANA_URL is not set: it names the Grafana that the boards go to")
    if not settings.grafana_token:
        raise Misconfigured("SENDLENS_GRAFANA_TOKEN is not set: make a service account of the role Admin in Grafana")
    if settings.mode == "cluster" and "clickhouse_reader_password" not in settings.model_fields_set:
        raise Misconfigured("SENDLENS_CLICKHOUSE_READER_PASSWORD is not set: Grafana asks ClickHouse as `reader`")
    grafana = _Grafana(settings)
    yield _folder(grafana, FOLDER_UID, FOLDER)
    yield _datasource(grafana, settings)
    for board in BOARDS:
        yield _board(grafana, dashboard(board))
    yield _folder(grafana, alerts.FOLDER_UID, alerts.FOLDER)
    for rule in alerts.RULES:
        yield _rule(grafana, rule)


class _Grafana:
    """Its HTTP API: an answer is a status and an object; what is no answer is raised."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.grafana_url
        self._api = Api(
            APIModel(
                host=settings.grafana_url,
                token=settings.grafana_token,
                timeout=_TIMEOUT_SECONDS,
                retries=0,
                follow_redirects=False,
            )
        )

    def get(self, path: str) -> dict[str, Any] | None:
        """The object, None where there is none."""
        status, answer = self.probe(path)
        return None if status == 404 else self._accepted(f"GET {path}", status, answer)

    def send(self, method: RequestsMethods, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises Reject when it refuses."""
        return self._accepted(f"{method.value} {path}", *self._ask(method, path, body))

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and object, whatever the status."""
        return self._ask(RequestsMethods.GET, path)

    def _ask(
        self, method: RequestsMethods, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        text = None if body is None else json.dumps(body)
        try:
            answer = self._api.call_the_api(path, method, text, response_status_code=True)
        except httpx.HTTPError as error:
            if str(error) in ERROR_MESSAGES:  # the library's way to say that the token is none
                raise self._unauthorized() from None
            raise Retry(f"Grafana at SENDLENS_GRAFANA_URL ({self._url}): {error or type(error).__name__}") from error
        except httpx.InvalidURL as error:
            raise Misconfigured(f"SENDLENS_GRAFANA_URL: {error}") from None
        except (IndexError, TypeError):  # the library's way with JSON that is no object
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
            raise self._no_grafana()
        status = int(answer.pop("status"))
        if status == 401:
            raise self._unauthorized()
        return status, answer

    def _accepted(self, what: str, status: int, answer: dict[str, Any]) -> dict[str, Any]:
        if status in _AWAY:
            raise Retry(f"Grafana at SENDLENS_GRAFANA_URL ({self._url}): {status}")
        if 200 <= status < 300:
            if isinstance(answer.get("data"), str):  # the library puts there what is no JSON
                raise self._no_grafana()
            return answer
        why = str(answer.get("message") or answer.get("data") or "no reason given")[:300]
        if status == 403:
            why += ". The token's service account needs the role Admin: Editors may not change datasources"
        elif status in (409, 412):
            why += ". Somebody else changed it meanwhile, or has something of this name: look, then push again"
        raise Reject("grafana-refuses", f"{what}: {status}, {why}")

    def _no_grafana(self) -> Reject:
        return Reject("not-grafana", f"{self._url} does not answer as Grafana does: see SENDLENS_GRAFANA_URL")

    def _unauthorized(self) -> Reject:
        return Reject("grafana-refuses", f"SENDLENS_GRAFANA_TOKEN: Grafana at {self._url} does not know it, or no more")


def _folder(grafana: _Grafana, uid: str, title: str) -> Change:
    thing = f"folder {title}"
    there = grafana.get(f"/api/folders/{uid}")
    if there is None:
        grafana.send(RequestsMethods.POST, "/api/folders", {"uid": uid, "title": title})
        return Change(thing, Outcome.CREATED)
    if there.get("title") == title:
        return Change(thing, Outcome.UNCHANGED)
    body = {"title": title, "version": there.get("version")}
    grafana.send(RequestsMethods.PUT, f"/api/folders/{uid}", body)
    return Change(thing, Outcome.UPDATED)


def _datasource(grafana: _Grafana, settings: Settings) -> Change:
    """Grafana tells nobody the password it has; whether it is the right one is seen by its asking ClickHouse."""
    thing = "datasource Sendlens"
    path = f"/api/datasources/uid/{PROVISIONED}"
    wanted = datasource(settings)
    secret = {"secureJsonData": {"password": settings.clickhouse_reader_password}}
    there = grafana.get(path)
    if there is None:
        grafana.send(RequestsMethods.POST, "/api/datasources", wanted | secret)
        return Change(thing, Outcome.CREATED, _complaint(grafana))
    if there.get("readOnly"):
        return Change(thing, Outcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    same = says(there, wanted)
    if same and not _complaint(grafana):
        return Change(thing, Outcome.UNCHANGED)
    kept = {"isDefault": there.get("isDefault", False), "version": there.get("version")}
    more = {"jsonData": {**(there.get("jsonData") or {}), **wanted["jsonData"]}}
    grafana.send(RequestsMethods.PUT, path, wanted | kept | more | secret)
    return Change(thing, Outcome.UPDATED, _complaint(grafana))


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


def _complaint(grafana: _Grafana) -> str:
    """What the datasource says when it tries to ask ClickHouse; nothing when that works."""
    status, answer = grafana.probe(f"/api/datasources/uid/{PROVISIONED}/health")
    if status == 200:
        return ""
    return f"it does not reach ClickHouse: {str(answer.get('message') or status)[:200]}"


def _board(grafana: _Grafana, wanted: Mapping[str, Any]) -> Change:
    """Grafana may bring a board to a newer form, so its history is asked too: our message there names what we saved."""
    thing = f"board {wanted['title']}"
    path = f"/api/dashboards/uid/{wanted['uid']}"
    there = grafana.get(path)
    model = {name: value for name, value in wanted.items() if name != "version"}
    message = f"sendlens boards push {sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:16]}"
    body = {"folderUid": FOLDER_UID, "message": message, "overwrite": False}
    if there is None:
        grafana.send(RequestsMethods.POST, "/api/dashboards/db", body | {"dashboard": model})
        return Change(thing, Outcome.CREATED)
    meta, old = there.get("meta", {}), there.get("dashboard", {})
    if meta.get("provisioned"):
        return Change(thing, Outcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    is_in_place = meta.get("folderUid", FOLDER_UID) == FOLDER_UID
    if is_in_place and (says(old, model) or _newest_message(grafana, path) == message):
        return Change(thing, Outcome.UNCHANGED)
    # With the version that was read and without `overwrite`, somebody else's change in between is not lost unseen.
    model |= {"id": old.get("id"), "version": old.get("version")}
    grafana.send(RequestsMethods.POST, "/api/dashboards/db", body | {"dashboard": model})
    return Change(thing, Outcome.UPDATED)


def _newest_message(grafana: _Grafana, path: str) -> str:
    """What was said of the newest version of a board; nothing where Grafana does not tell."""
    status, answer = grafana.probe(f"{path}/versions?limit=1")
    versions = answer.get("versions") if status == 200 else None
    return str(versions[0].get("message", "")) if versions else ""


def _rule(grafana: _Grafana, rule: alerts.Rule) -> Change:
    thing = f"alert {rule.title}"
    rules = "/api/v1/provisioning/alert-rules"
    path = f"{rules}/{quote(rule.uid)}"
    wanted = alerts.for_api(rule)
    there = grafana.get(path)
    if there is None:
        grafana.send(RequestsMethods.POST, rules, wanted | {"orgID": 1})  # Grafana takes the token's, but wants one
        return Change(thing, Outcome.CREATED)
    if there.get("provenance") == "file":
        return Change(thing, Outcome.LEFT_ALONE, "provisioned from a file of Grafana's")
    if says(there, wanted):
        return Change(thing, Outcome.UNCHANGED)
    grafana.send(RequestsMethods.PUT, path, wanted | {"orgID": there.get("orgID", 1)})
    return Change(thing, Outcome.UPDATED)


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
