"""`sendlens doctor`: is all well, and what is to be done where it is not? One line each."""

from __future__ import annotations

import json
import logging
from typing import Annotated

import typer

from commands.doctor.diagnosis import EXIT_CODE, Check, Diagnosis, Examination, Verdict, examined
from commands.edge import read_settings
from schemas.errors import Misconfigured


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: the verdict and every finding.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="This check alone; may be repeated.")] = None,
    send_mail: Annotated[
        bool, typer.Option("--mail/--no-mail", help="Send mail to ourselves and wait for it, or don't.")
    ] = True,
    wait: Annotated[float, typer.Option(min=1, max=600, help="Seconds that this mail may take.")] = 60.0,
) -> None:
    """Look at everything and say what is not well and what to do. Exits 0 when all is, 1 for a warning, 2 for worse."""
    try:
        checks = _chosen(only or [])
        settings = read_settings(log_level="ERROR")  # what is to be said is a finding
        logging.disable(logging.CRITICAL)
        found = examined(checks, Examination(settings, wait if send_mail else 0.0))
    except Misconfigured as error:
        found = [Diagnosis("settings", "fail", str(error))]
    verdict: Verdict = max((one.verdict for one in found), key=EXIT_CODE.__getitem__, default="ok")
    if as_json:
        print(json.dumps({"verdict": verdict, "findings": [_object(one) for one in found]}, indent=2))
    else:
        for one in found:
            print(one.line())
    raise typer.Exit(EXIT_CODE[verdict])


def _chosen(names: list[str]) -> list[Check]:
    from commands.doctor.checks import CHECKS  # they import every room

    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            raise Misconfigured(f"there is no check {name!r}: choose from {', '.join(known)}")
    return [known[name] for name in names] or list(CHECKS)


def _object(one: Diagnosis) -> dict[str, str]:
    return {"check": one.check, "verdict": one.verdict, "said": one.said, "todo": one.todo}
