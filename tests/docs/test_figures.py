"""The house stays one that a newcomer can read: few files in a folder, short files, a README of ten minutes.

Each test shows what it measured; `make check` prints it (tests/docs/conftest.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from clickhouse.counting import COUNTS
from clickhouse.queries import VIEWS
from dashboards.grafana.check import MOST_CHARACTERS, MOST_LINES
from dashboards.grafana.files import DIST
from tests.docs.shown import documents
from tests.docs.test_house import LONGEST, OURS
from tests.support.processes import ROOT

Record = Callable[[str, object], None]

README_BYTES = 12_000
DOCUMENT_LINES = 100
COUNT_TABLES = 9
FLAT = 17  # Python files directly in a folder, `__init__.py` left out: some 15
# More than one sitting, and none may grow: who adds a file here moves some into a folder of their own.
FULL: dict[str, int] = {}
# Tables of measurements, of questions and answers, of names, what to do in a case: looked up in, not read through.
LOOKED_UP = {
    *("README.md", "CHANGELOG.md"),
    *(f"docs/{name}.md" for name in ("accuracy", "benchmarks", "logs", "operations", "robots", "security", "sql")),
}


def test_folders_hold_few_files(record_property: Record) -> None:
    python = [name.rpartition("/") for name, _ in OURS if name.endswith(".py") and not name.startswith("tests/")]
    flat = Counter(folder for folder, _, file in python if file != "__init__.py")
    most = ", ".join(f"{folder} {number}" for folder, number in flat.most_common(6))
    record_property("figure", f"Python files in a folder (at most {FLAT}): {most}")
    assert {folder: number for folder, number in flat.items() if number > FULL.get(folder, FLAT)} == {}
    assert {folder for folder in FULL if flat[folder] <= FLAT} == set(), "take it out of FULL"


def test_the_longest_file_is_a_sittings_read(record_property: Record) -> None:
    lines, name = max((text.count("\n"), name) for name, text in OURS if name.endswith(".py"))
    record_property("figure", f"longest Python file (at most {LONGEST} lines): {name} {lines}")
    assert lines <= LONGEST


def test_readme_takes_ten_minutes(record_property: Record) -> None:
    size = (ROOT / "README.md").stat().st_size
    record_property("figure", f"README.md (at most {README_BYTES} bytes): {size}")
    assert size <= README_BYTES


def test_a_document_is_a_sittings_read(record_property: Record) -> None:
    read = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in documents(ROOT)}
    lines, name = max((lines, name) for name, lines in read.items() if name not in LOOKED_UP)
    record_property(
        "figure", f"longest page of docs that is read through (at most {DOCUMENT_LINES} lines): {name} {lines}"
    )
    assert lines <= DOCUMENT_LINES


def test_a_panels_sql_can_be_read(record_property: Record) -> None:
    boards = [json.loads(path.read_text()) for path in DIST.glob("*.json")]
    sql = [target["rawSql"] for board in boards for panel in board["panels"] for target in panel.get("targets", ())]
    lines, size = max(text.count("\n") + 1 for text in sql), max(map(len, sql))
    record_property(
        "figure",
        f"SQL of {len(sql)} panels (at most {MOST_LINES} lines and {MOST_CHARACTERS} characters): {lines} lines, {size} characters",
    )
    assert lines <= MOST_LINES
    assert size <= MOST_CHARACTERS


def test_counts_stand_in_few_tables(record_property: Record) -> None:
    record_property("figure", f"tables of counts (at most {COUNT_TABLES}): {len(COUNTS)}; views: {len(VIEWS)}")
    assert len(COUNTS) <= COUNT_TABLES
