"""`sendlens boards`: the dashboards, written once as data."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from commands.edge import BAD_INPUT, explained, read_settings
from schemas.errors import Reject
from schemas.text import one_line

app = typer.Typer(no_args_is_help=True, help="The dashboards, written once as data.")


@app.command("render")
def boards_render() -> None:
    """Write the JSON of every board, and of the alert rules, for Grafana to read."""
    from dashboards.grafana import render

    for path, text in render().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"boards render: {path.parent.name}/{path.name}")


@app.command("check")
def boards_check(
    keys: Annotated[list[str] | None, typer.Argument(help="Run the queries of these boards alone.")] = None,
) -> None:
    """Lint every board and run every query of it on SENDLENS_CLICKHOUSE_URL. Exits 1 when anything is wrong."""
    with explained():
        from clickhouse.store import connect
        from dashboards.boards import BOARDS
        from dashboards.grafana.check import check

        known = [board.key for board in BOARDS]
        if unknown := [key for key in keys or () if key not in known]:
            raise typer.BadParameter(f"there is no board {unknown[0]}, but {', '.join(known)}")
        with connect(read_settings()) as client:
            problems = check(client, keys=keys or ())
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"boards check: {len(problems)} problems")
        if problems:
            raise typer.Exit(BAD_INPUT)


@app.command("push")
def boards_push() -> None:
    """Bring the Grafana at SENDLENS_GRAFANA_URL up to date: folders, datasource, boards and alert rules."""
    with explained():
        from dashboards.grafana.push import PushOutcome, push

        outcomes: Counter[PushOutcome] = Counter()
        try:
            for change in push(read_settings()):
                outcomes[change.outcome] += 1
                print(f"boards push: {change}", flush=True)
        except Reject as refused:
            print(f"sendlens: {one_line(refused.detail)}", file=sys.stderr)
            raise typer.Exit(BAD_INPUT) from None
        print("boards push: " + ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in PushOutcome))
