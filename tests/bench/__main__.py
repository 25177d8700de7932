"""`python -m tests.bench`: measure beside peers and limits, in one run, and rewrite docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.bench import (
    answering,
    first_visit,
    hostile,
    idle,
    instrumenting,
    judging,
    machine,
    mailboxes,
    queryable,
    reading,
    sending,
    soak,
    storing,
)
from tests.bench.broker import described
from tests.bench.figures import Section, Wrong
from tests.bench.page import keep_part, render, replace_sections
from tests.bench.workshop import ROOT, Workshop

# One row a benchmark: its name, and what measures it. What comes later is a module with a
# `measure(workshop, *, quick)` and a row here.
BENCHMARKS: dict[str, Callable[..., Section]] = {
    "answering": answering.measure,
    "judging": judging.measure,
    "reading": reading.measure,
    "storing": storing.measure,
    "instrumenting": instrumenting.measure,
    "hostile": hostile.measure,
    "sending": sending.measure,
    "mailboxes": mailboxes.measure,
    "queryable": queryable.measure,
    "page": first_visit.measure,
    "idle": idle.measure,
    "soak": soak.measure,
}
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Returns the exit code: 0, 1 when a run lost or doubled anything, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it works, not for figures")
    parser.add_argument("--soak-minutes", type=float, default=10.0, help="length of the soak (default 10); 0: none")
    parser.add_argument("--write", action="store_true", help="put what --only measured into docs/benchmarks.md")
    asked = parser.parse_args()
    BENCHMARKS["soak"] = partial(soak.measure, minutes=asked.soak_minutes)
    whole = not asked.only and not asked.quick
    began, load_before = time.monotonic(), machine.load_average()
    try:
        with Workshop() as workshop:
            sections = []
            for name in asked.only or BENCHMARKS:
                print(f"{name}:", flush=True)
                sections.append(BENCHMARKS[name](workshop, quick=asked.quick))
            alone = "yes" if not workshop.shares_one_core else "no: one core for everything, figures mean little"
    except Wrong as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    facts = [
        *machine.describe(described()),
        ("Server and load on cores of their own", alone),
        ("Load average before the run", f"{load_before:.1f}: what others were doing on this machine"),
        ("Length of the run", f"{time.monotonic() - began:.0f} s"),
    ]
    text = render(facts, sections)
    if whole:
        PAGE.parent.mkdir(exist_ok=True)
        apart = keep_part(PAGE.read_text()) if PAGE.exists() else ""
        PAGE.write_text(text + ("\n" + apart if apart else ""))
        print(f"wrote {PAGE.relative_to(ROOT)}")
    else:
        print(text)
    if asked.write and asked.only and not asked.quick:
        told = dict(facts)
        apart = (
            f"Measured by itself, {told['Date']}, {told['Processor']}, load average before {load_before:.1f}: figures "
            "are not to be compared with those of other sections."
        )
        PAGE.write_text(replace_sections(PAGE.read_text(), sections, apart))
    return 0


if __name__ == "__main__":
    sys.exit(main())
