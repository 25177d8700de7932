"""The reasons that counters begin with are those that the code can give: one that is new and not listed fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import pytest

from agents.pipeline import STAGES
from agents.runtime.metrics import DEAD_REASONS
from ingest.metrics import (
    HIT_REASONS,
    INSTRUMENT_REASONS,
    OWN_REASONS,
    REPORT_REASONS,
    SEND_REASONS,
    SUPPRESSION_REASONS,
)
from tests.support.processes import ROOT

# Where a value is refused that comes from a request or a record. The argument of each call that is the reason.
_CALLS = {"Reject": 0, "PoisonRecord": 1}
_OF_SENDS = (
    "schemas/tokens.py",
    "schemas/headers.py",
    "schemas/addresses.py",
    "decisions/sending/instrument.py",
    "decisions/sending/mime.py",
)


def reasons(*places: str) -> set[str]:
    """The reasons that stand in these files, or in the files of these folders."""
    found = set()
    for place in places:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and (at := _CALLS.get(getattr(node.func, "id", ""))) is not None:
                    found |= {
                        part.value
                        for part in ast.walk(node.args[at])
                        if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    }
    return found


def test_reasons_are_found() -> None:
    assert {"unknown-email", "unreadable"} <= reasons("agents/reader")


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_every_reason_of_a_dead_letter_is_counted_from_nought(stage: str) -> None:
    more: Iterable[str] = {"sender": _OF_SENDS, "store": ("clickhouse/store.py",)}.get(stage, ())
    of_any = {"error", "too-large"}
    # The list of Apple's relay is refused, which is no record's fault.
    assert reasons(f"agents/{stage}", "stream", *more) - {"refused"} <= set(DEAD_REASONS[stage]) | of_any


def test_every_reason_of_a_rejected_request_is_counted_from_nought() -> None:
    read = ("ingest/api/requests.py", "ingest/api/images.py", "ingest/api/batches.py")
    checked = ("schemas/tokens.py", "schemas/addresses.py", "schemas/headers.py")
    of_own = {"at-future", "at-too-old"}
    assert reasons("ingest/api/sends.py", *read, *checked) - of_own <= set(SEND_REASONS)
    assert reasons("ingest/api/instrument", *read, *_OF_SENDS[:4]) - of_own <= set(INSTRUMENT_REASONS)
    assert of_own | reasons("decisions/sending/own_events.py", "schemas/addresses.py") <= set(OWN_REASONS)


def test_every_reason_of_a_suppression_or_a_report_that_is_not_taken_is_counted_from_nought() -> None:
    suppressed = reasons("ingest/api/suppressions.py", "decisions/effects/suppression_list.py", "schemas/addresses.py")
    assert suppressed <= set(SUPPRESSION_REASONS)
    reported = reasons("ingest/api/providers", "decisions/providers", "decisions/sending/own_events.py")
    assert reported <= set(REPORT_REASONS)


def test_every_reason_of_a_rejected_hit_is_counted_from_nought() -> None:
    listed = set(HIT_REASONS["open"]) | set(HIT_REASONS["click"])
    assert reasons("ingest/hits/hits.py") <= listed
