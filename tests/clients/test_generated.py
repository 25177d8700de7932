"""Clients that generators make of the OpenAPI document declare, send and read, typed, and none of them raises."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.settings import Settings
from tests.ingest.conftest import settings_in
from tests.ingest.served_process import served
from tests.support.broker import Broker, create_topics
from tests.support.migrated import start_migrated
from tests.support.processes import ROOT

BUILT = ROOT / "build" / "clients" / "openapi"
SOURCES = ROOT / "tests" / "clients" / "openapi"
KEY = "the-api-key-of-this-very-test"


@pytest.fixture(scope="module")
def ingest(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running ingest with a key, and a database without rows; yields its URL."""
    folder = tmp_path_factory.mktemp("generated")
    settings: Settings = settings_in(folder, broker.bootstrap)
    create_topics(settings)
    clickhouse = start_migrated(folder / "clickhouse")
    try:
        with served(settings.model_copy(update={"api_key": KEY, "clickhouse_url": clickhouse.url})) as (url, _):
            yield url
    finally:
        clickhouse.kill()


@pytest.fixture(scope="module")
def document(ingest: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{ingest}/openapi.json").json()
    return found


@pytest.fixture
def work(tmp_path: Path, document: dict[str, Any]) -> Path:
    """A folder with the document."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    return tmp_path


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_every_answer_and_body_is_a_named_component_and_each_operation_has_a_name_of_its_own(
    document: dict[str, Any],
) -> None:
    titles: Counter[str] = Counter()

    def look(node: Any, inside: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                titles[node.get("title", f"without a title: {inside}")] += 1
            for name, value in node.items():
                look(value, f"{inside}/{name}")
        elif isinstance(node, list):
            for value in node:
                look(value, inside)

    look(document["paths"], "paths")
    assert titles == {}, "written out in place"
    look(document["components"]["schemas"], "schemas")
    assert {title for title, count in titles.items() if count > 1} == set()
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    assert "HTTPValidationError" not in json.dumps(document)
    assert "application/json" not in document["paths"]["/v1/export"]["get"]["responses"]["200"]["content"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    wanted = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert wanted <= set(document["components"]["schemas"])


def test_a_generated_python_client_works(ingest: str, work: Path) -> None:
    python = BUILT / "venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("openapi-python-client is not here: `make clients` brings it")
    generator = python.with_name("openapi-python-client")
    run(generator, "generate", "--path", "openapi.json", "--output-path", "made", "--meta", "none", cwd=work)
    (work / "made").rename(work / "sendlens_client")
    (work / "program.py").write_text((SOURCES / "program.py").read_text())
    found = json.loads(run(python, "program.py", ingest, KEY, cwd=work))
    assert found == {
        "campaign": ["CampaignAnswer", "python", "news"],
        "sent": ["SendsAnswer", 1, ["campaign-unknown"]],
        "refused": [422, "SendsAnswer", 0],
        "stats": ["CampaignStats", "python"],
        "nobody": [404, "Problem", 404],
        "rows": ['"delivery_id"', '"campaign"'],
    }


def test_generated_types_compile_and_their_client_works(ingest: str, work: Path) -> None:
    modules = BUILT / "node_modules"
    if not modules.exists() or shutil.which("node") is None:
        pytest.skip("openapi-typescript is not here: `make clients` brings it")
    (work / "node_modules").symlink_to(modules)
    (work / "package.json").write_text('{"type": "module"}')
    (work / "program.ts").write_text((SOURCES / "program.ts").read_text())
    run("node", modules / "openapi-typescript" / "bin" / "cli.js", "openapi.json", "-o", "schema.d.ts", cwd=work)
    options = {"strict": True, "target": "es2022", "module": "nodenext", "skipLibCheck": True, "types": []}
    (work / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["program.ts"]}))
    run("node", modules / "typescript" / "bin" / "tsc", cwd=work)
    found = json.loads(run("node", "program.js", ingest, KEY, cwd=work))
    assert found["campaign"] == ["typescript", "news"]
    assert found["sent"] == [1, ["campaign-unknown"]]
    assert found["refused"][0] == 422
    assert found["stats"] == ["typescript"]
    assert found["nobody"] == [404, 404]
    assert found["rows"] == ['"delivery_id"', '"campaign"']
