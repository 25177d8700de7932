"""The OpenAPI document and the API say the same: Schemathesis makes requests of the one and sends them to the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from schemas.settings import Settings
from schemas.topics import CAMPAIGNS
from tests.ingest.room import records
from tests.ingest.served_process import served
from tests.support.migrated import start_migrated

# What can't be told from a document: a send of its form may be of an unknown campaign, or say nothing.
_NOT_TOLD = "positive_data_acceptance"
_EXAMPLES = 4
_SEED = 1


def test_the_api_answers_whatever_its_document_allows_or_not_as_the_document_says(
    settings: Settings, tmp_path: Path
) -> None:
    program = Path(sys.executable).parent / "schemathesis"
    assert program.exists(), "schemathesis is not installed: make .venv/ready"
    clickhouse = start_migrated(tmp_path / "clickhouse")
    keyed = settings.model_copy(update={"api_key": "the-api-key-of-this-test", "clickhouse_url": clickhouse.url})
    options = ["--max-examples", str(_EXAMPLES), "--seed", str(_SEED), "--exclude-checks", _NOT_TOLD, "--no-color"]
    try:
        with served(keyed) as (url, _):
            done = subprocess.run(
                [program, "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {keyed.api_key}", *options],
                cwd=tmp_path,  # it keeps what it found there
                capture_output=True,
                text=True,
                timeout=170,
            )
    finally:
        clickhouse.kill()
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases is not None
    assert int(cases[1]) > 150
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) >= 10
    assert records(settings, CAMPAIGNS) != []  # some were let in: it was not all refused at the door
