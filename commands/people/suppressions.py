"""`sendlens suppressions`: the list of who gets no mail, from a file and to a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.edge import BAD_INPUT, explained, read_settings

app = typer.Typer(no_args_is_help=True, help="Suppressions: who gets no mail, from a file and to a file.")


@app.command("import")
def suppressions_import(
    file: Annotated[Path, typer.Argument(help="A CSV with a header, or a list with an address or a domain a line.")],
    reason: Annotated[
        str, typer.Option(help="For lines without one: suppressed, unsubscribed, invalid or complained.")
    ] = "suppressed",
    source: Annotated[str, typer.Option(help="For lines without one: where the list is from.")] = "import",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken; write nothing.")] = False,
) -> None:
    """Suppress everybody in a file. A column names an address (email, address), a domain or a lead; reason, source and
    since (created, created_at) may stand beside it. Says what it refused, by line. It may be repeated."""
    with explained():
        from commands.people.suppression_file import import_file

        settings = read_settings()
        done = import_file(
            settings, file, datetime.now(UTC), reason=reason, source=source, dry_run=dry_run, progress=_progress
        )
        for refused in done.refused:
            print(refused, file=sys.stderr)
        if done.refusals > len(done.refused):
            print(f"... and {done.refusals - len(done.refused)} more", file=sys.stderr)
        print(done.summary())
        if done.refusals:
            raise typer.Exit(BAD_INPUT)


@app.command("export")
def suppressions_export(
    file: Annotated[Path | None, typer.Argument(help="Where to; without it, to the terminal.")] = None,
) -> None:
    """Write the list as CSV. Addresses and domains are in it as keyed hashes, which `import` takes wherever the
    SENDLENS_TOKEN_KEYS are the same."""
    with explained():
        from clickhouse.store import connect
        from commands.people.suppression_file import export_file

        with connect(read_settings()) as client:
            count = export_file(client, file)
        if file is not None:
            print(f"{count} suppressions in {file}")


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
