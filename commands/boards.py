"""`sendlens boards`: the dashboards, written once as data."""

from __future__ import annotations

import sys

import typer

from commands.edge import BAD_INPUT, explained, read_settings

app = typer.Typer(no_args_is_help=True, help="The dashboards, written once as data.")


@app.command("render")
def boards_render() -> None:
    """Write the Grafana JSON of every board to dashboards/dist/."""
    from dashboards.grafana import render

    for path, text in render().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"boards render: {path.name}")


@app.command("check")
def boards_check() -> None:
    """Lint every board and run every query of it on SENDLENS_CLICKHOUSE_URL. Exits 1 when anything is wrong."""
    with explained():
        from clickhouse.store import connect
        from dashboards.check import check

        with connect(read_settings()) as client:
            problems = check(client)
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"boards check: {len(problems)} problems")
        if problems:
            raise typer.Exit(BAD_INPUT)
