"""A real HTTP server that answers as Grafana's API documentation says, and keeps what it is given.

No Grafana runs in our tests. This one knows the parts that we call, adds to what it is given what Grafana adds (ids,
versions, defaults), and refuses what Grafana refuses: 401, 403, 404, 409, 412, and 400 for what makes no sense.
https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "a-token-of-these-tests"
EDITOR = "a-token-that-may-not-change-datasources"

Body = dict[str, Any]
Answer = tuple[int, object]


class Refused(Exception):
    """An answer that is no yes."""

    def __init__(self, code: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer: Answer = code, {"message": message, **more}


class Grafana(ThreadingHTTPServer):
    """What it was told, by uid. `reaches` is whether a datasource with this address and password finds ClickHouse."""

    daemon_threads = True

    def __init__(self, reaches: Callable[[Body, str], bool] = lambda settings, password: True) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.annotations: list[Body] = []
        self.folders: dict[str, Body] = {}
        self.datasources: dict[str, Body] = {}
        self.passwords: dict[str, str] = {}
        self.dashboards: dict[str, Body] = {}  # dashboard and meta
        self.messages: dict[str, list[str]] = {}  # of a dashboard's versions, the newest last
        self.shows: Callable[[Body], Body] = lambda model: model  # what a dashboard is answered as
        self.rules: dict[str, Body] = {}
        self.reaches = reaches
        self.requests = 0
        self.writes = 0
        self.failures = 0  # how many of the next requests are answered 502
        self.after_reading: Callable[[str], None] = lambda path: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def annotate(self, body: Body, asked: dict[str, list[str]], **_: str) -> Answer:
        assert {"time", "text", "tags"} <= set(body)
        body["id"] = len(self.annotations) + 1
        self.annotations.append(body)
        return 200, {"message": "Annotation added", "id": body["id"]}

    def annotations_of(self, body: Body, asked: dict[str, list[str]], **_: str) -> Answer:
        found = [one for one in self.annotations if set(asked.get("tags", [])) <= set(one["tags"])]
        return 200, found[: int(asked.get("limit", ["100"])[0])]

    def folder(self, body: Body, asked: object, uid: str) -> Answer:
        return 200, _found(self.folders, uid, "folder not found")

    def add_folder(self, body: Body, asked: object, **_: str) -> Answer:
        if not body.get("title"):
            raise Refused(400, "folder title cannot be empty")
        if body["uid"] in self.folders:
            raise Refused(409, "a folder with that uid already exists")
        folder = {
            "id": len(self.folders) + 1,
            "uid": body["uid"],
            "title": body["title"],
            "version": 1,
            "hasAcl": False,
        }
        self.folders[body["uid"]] = folder
        return 200, folder

    def change_folder(self, body: Body, asked: object, uid: str) -> Answer:
        folder = _found(self.folders, uid, "folder not found")
        if body.get("version") != folder["version"] and not body.get("overwrite"):
            raise Refused(412, "The folder has been changed by someone else", status="version-mismatch")
        folder |= {"title": body["title"], "version": folder["version"] + 1}
        return 200, folder

    def datasource(self, body: Body, asked: object, uid: str) -> Answer:
        return 200, _found(self.datasources, uid, "Data source not found")

    def add_datasource(self, body: Body, asked: object, **_: str) -> Answer:
        if any(other["name"] == body["name"] for other in self.datasources.values()):
            raise Refused(409, "data source with the same name already exists")
        return 200, {"message": "Datasource added", "datasource": self._keep(body, len(self.datasources) + 1, 1)}

    def change_datasource(self, body: Body, asked: object, uid: str) -> Answer:
        there = _found(self.datasources, uid, "Data source not found")
        if there["readOnly"]:
            raise Refused(403, "Cannot update read-only data source")
        if body.get("version") not in (None, there["version"]):
            raise Refused(409, "Datasource has already been updated by someone else. Please reload and try again")
        kept = self._keep(body, there["id"], there["version"] + 1)
        return 200, {"message": "Datasource updated", "datasource": kept}

    def _keep(self, body: Body, number: int, version: int) -> Body:
        """Passwords are kept and never given out; what is not said is what it is at first."""
        self.passwords |= {body["uid"]: body.get("secureJsonData", {}).get("password", "")}
        said = {name: value for name, value in body.items() if name != "secureJsonData"}
        made = {"orgId": 1, "typeLogoUrl": "", "url": "", "user": "", "basicAuth": False, "isDefault": False}
        more = {"id": number, "version": version, "readOnly": False, "secureJsonFields": {"password": True}}
        self.datasources[body["uid"]] = made | said | more
        return self.datasources[body["uid"]]

    def health(self, body: Body, asked: object, uid: str) -> Answer:
        there = _found(self.datasources, uid, "Data source not found")
        if self.reaches(there["jsonData"], self.passwords.get(uid, "")):
            return 200, {"status": "OK", "message": "Data source is working"}
        return 400, {"status": "ERROR", "message": "Authentication failed"}

    def dashboard(self, body: Body, asked: object, uid: str) -> Answer:
        there = _found(self.dashboards, uid, "Dashboard not found")
        return 200, {**there, "dashboard": self.shows(copy.deepcopy(there["dashboard"]))}

    def versions(self, body: Body, asked: dict[str, list[str]], uid: str) -> Answer:
        _found(self.dashboards, uid, "Dashboard not found")
        newest = reversed(list(enumerate(self.messages[uid], 1)))
        told = [{"uid": uid, "version": number, "message": message} for number, message in newest]
        return 200, {"continueToken": "", "versions": told[: int(asked.get("limit", ["1000"])[0])]}

    def edit(self, uid: str, change: Callable[[Body], None]) -> None:
        """Somebody changes a dashboard and saves it."""
        model = copy.deepcopy(self.dashboards[uid]["dashboard"])
        change(model)
        self.save_dashboard({"dashboard": model, "folderUid": self.dashboards[uid]["meta"]["folderUid"]}, None)

    def save_dashboard(self, body: Body, asked: object, **_: str) -> Answer:
        model = body["dashboard"]
        if not model.get("title"):
            raise Refused(400, "Dashboard title cannot be empty", status="empty-name")
        if body.get("folderUid") and body["folderUid"] not in self.folders:
            raise Refused(404, "folder not found")
        there = self.dashboards.get(model["uid"])
        if there and there["meta"].get("provisioned"):
            raise Refused(400, "Cannot save provisioned dashboard")
        if there and model.get("version") != there["dashboard"]["version"] and not body.get("overwrite"):
            raise Refused(412, "The dashboard has been changed by someone else", status="version-mismatch")
        version = there["dashboard"]["version"] + 1 if there else 1
        number = there["dashboard"]["id"] if there else len(self.dashboards) + 1
        meta = {"folderUid": body.get("folderUid", ""), "provisioned": False, "version": version}
        saved = {"dashboard": {**model, "id": number, "version": version}, "meta": meta}
        self.dashboards[model["uid"]] = saved
        self.messages.setdefault(model["uid"], []).append(body.get("message", ""))
        return 200, {"id": number, "uid": model["uid"], "status": "success", "version": version}

    def rule(self, body: Body, asked: object, uid: str) -> Answer:
        if uid not in self.rules:
            return 404, None  # without a word, as Grafana does
        return 200, self.rules[uid]

    def add_rule(self, body: Body, asked: object, **_: str) -> Answer:
        if body["uid"] in self.rules:
            raise Refused(409, "an alert rule of this uid exists")
        return 201, self._keep_rule(body, len(self.rules) + 1)

    def change_rule(self, body: Body, asked: object, uid: str) -> Answer:
        there = self.rules.get(uid)
        if there is None:
            return 404, None
        if there["provenance"] == "file":
            raise Refused(409, "cannot change provenance from 'file' to 'api'")
        return 200, self._keep_rule(body, there["id"])

    def _keep_rule(self, body: Body, number: int) -> Body:
        """Checked as Grafana's validation does, and completed as it completes them (AlertQuery.PreSave)."""
        wrong = "invalid alert rule: "
        if body.get("folderUID") not in self.folders:
            raise Refused(400, wrong + "folder does not exist")
        if not body.get("title") or not body.get("ruleGroup"):
            raise Refused(400, wrong + "title and rule group are needed")
        if body.get("condition") not in [query["refId"] for query in body["data"]]:
            raise Refused(400, wrong + f"condition {body.get('condition')} does not exist")
        if body.get("noDataState") not in ("OK", "NoData", "Alerting", "KeepLast"):
            raise Refused(400, wrong + "unknown no data state")
        if body.get("execErrState") not in ("OK", "Error", "Alerting", "KeepLast"):
            raise Refused(400, wrong + "unknown error state")
        if not re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", body.get("for", "")):
            raise Refused(400, wrong + "not a valid duration string")
        rule = copy.deepcopy(body)
        for query in rule["data"]:
            times = query["relativeTimeRange"]
            if query["datasourceUid"] != "__expr__" and times["from"] <= times["to"]:
                raise Refused(400, wrong + f"invalid relative time range: {times}")
            query["model"] = {"intervalMs": 1000, "maxDataPoints": 43200} | query["model"]
        rule |= {"id": number, "orgID": 1, "provenance": "api", "updated": "2026-01-01T00:00:00Z", "record": None}
        self.rules[rule["uid"]] = rule
        return rule


def _found(things: dict[str, Body], uid: str, message: str) -> Body:
    if uid not in things:
        raise Refused(404, message)
    return things[uid]


ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/api/annotations", Grafana.annotations_of),
    ("POST", "/api/annotations", Grafana.annotate),
    ("GET", "/api/folders/(?P<uid>[^/]+)", Grafana.folder),
    ("POST", "/api/folders", Grafana.add_folder),
    ("PUT", "/api/folders/(?P<uid>[^/]+)", Grafana.change_folder),
    ("GET", "/api/datasources/uid/(?P<uid>[^/]+)", Grafana.datasource),
    ("POST", "/api/datasources", Grafana.add_datasource),
    ("PUT", "/api/datasources/uid/(?P<uid>[^/]+)", Grafana.change_datasource),
    ("GET", "/api/datasources/uid/(?P<uid>[^/]+)/health", Grafana.health),
    ("GET", "/api/dashboards/uid/(?P<uid>[^/]+)", Grafana.dashboard),
    ("GET", "/api/dashboards/uid/(?P<uid>[^/]+)/versions", Grafana.versions),
    ("POST", "/api/dashboards/db", Grafana.save_dashboard),
    ("GET", "/api/v1/provisioning/alert-rules/(?P<uid>[^/]+)", Grafana.rule),
    ("POST", "/api/v1/provisioning/alert-rules", Grafana.add_rule),
    ("PUT", "/api/v1/provisioning/alert-rules/(?P<uid>[^/]+)", Grafana.change_rule),
)


class _Api(BaseHTTPRequestHandler):
    server: Grafana

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_PUT(self) -> None:
        self._do("PUT")

    def _do(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = self._answer(method, json.loads(raw) if raw else {})
        except Refused as refused:
            status, answer = refused.answer
        text = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, method: str, body: Body) -> Answer:
        grafana, url = self.server, urlsplit(self.path)
        grafana.requests += 1
        if grafana.failures:
            grafana.failures -= 1
            raise Refused(502, "Bad gateway")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (TOKEN, EDITOR):
            raise Refused(401, "Invalid API key")
        if token == EDITOR and method != "GET" and url.path.startswith("/api/datasources"):
            raise Refused(
                403,
                "You'll need additional permissions to perform this action. Permissions needed: any of datasources:create",
            )
        for known, path, does in ROUTES:
            found = re.fullmatch(path, url.path)
            if known == method and found:
                grafana.writes += method != "GET"
                parts = {name: unquote(part) for name, part in found.groupdict().items()}
                answer = copy.deepcopy(does(grafana, body, parse_qs(url.query), **parts))
                if method == "GET":
                    grafana.after_reading(url.path)
                return answer
        raise Refused(404, "Not found")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(**settings: Any) -> Iterator[Grafana]:
    server = Grafana(**settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
