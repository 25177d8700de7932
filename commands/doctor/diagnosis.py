"""A diagnosis: one line about one thing, with what to do when it is not well; and how checks are run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings
from schemas.text import one_line

Verdict = Literal["ok", "warn", "fail"]

EXIT_CODE: dict[Verdict, int] = {"ok": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found. `todo` is empty when all is well; a `fail` loses or stops something now, a `warn` will."""

    check: str
    verdict: Verdict
    said: str
    todo: str = ""

    def line(self) -> str:
        return one_line(f"{self.verdict:<4}  {self.check:<12}  {self.said}{f': {self.todo}' if self.todo else ''}")


@dataclass(frozen=True, slots=True)
class Examination:
    """What checks go by: the settings, and how long a mail to ourselves may take (seconds; 0: send none)."""

    settings: Settings
    mail_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table of checks. `seconds` is how long it may take, of `mail` beside the mail's own time."""

    name: str
    find: Callable[[Examination], Iterable[Diagnosis]]
    seconds: float = 20.0
    mail: bool = False


def examined(checks: Sequence[Check], given: Examination) -> list[Diagnosis]:
    """The findings of all checks, in the table's order. They run side by side; none may hold up the others, and
    whatever one raises is a finding."""
    answers: SimpleQueue[tuple[Check, list[Diagnosis]]] = SimpleQueue()

    def run(check: Check) -> None:
        answers.put((check, _found(check, given)))

    began = time.monotonic()
    for check in checks:
        threading.Thread(target=run, args=(check,), name=f"check-{check.name}", daemon=True).start()
    allowed = {check: check.seconds + (given.mail_seconds if check.mail else 0.0) for check in checks}
    found: dict[Check, list[Diagnosis]] = {}
    while len(found) < len(checks):
        waiting = [check for check in checks if check not in found]
        left = began + max(allowed[check] for check in waiting) - time.monotonic()
        try:
            check, findings = answers.get(timeout=max(0.0, left))
        except Empty:
            break
        found[check] = findings
    return [
        finding
        for check in checks
        for finding in found.get(check)
        or [Diagnosis(check.name, "fail", f"no answer within {allowed[check]:.0f} s", "see whether it is overloaded")]
    ]


def _found(check: Check, given: Examination) -> list[Diagnosis]:
    try:
        return list(check.find(given)) or [Diagnosis(check.name, "ok", "nothing to look at")]
    except Misconfigured as error:
        return [Diagnosis(check.name, "fail", str(error))]
    except Retry as error:
        return [Diagnosis(check.name, "fail", str(error), "see that it runs and can be reached from here")]
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:300]
        return [Diagnosis(check.name, "fail", said, "this check does not work here; what it looks at may be well")]
