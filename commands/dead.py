"""`sendlens dead`: records that could not be processed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.edge import BAD_INPUT, explained, read_settings
from schemas.errors import Misconfigured

app = typer.Typer(no_args_is_help=True, help="Records that could not be processed: look at them, put them back.")

Numbers = Annotated[list[int] | None, typer.Argument(help="Letters' numbers, as `dead list` gives them.")]
OfStage = Annotated[str, typer.Option(help="Letters of this stage alone.")]
ForReason = Annotated[str, typer.Option(help="Letters for this reason alone.")]


@app.command("list")
def dead_list(stage: OfStage = "", reason: ForReason = "") -> None:
    """What stands in the topic dead, by stage and reason: how many, since when, numbers and places."""
    with explained():
        from commands.dead_letters import chosen, letters, summary

        for line in summary(chosen(letters(read_settings()), stage=stage, reason=reason)):
            print(line)


@app.command("show")
def dead_show(number: Annotated[int, typer.Argument(help="The letter's number.")]) -> None:
    """Print one dead letter as JSON, its record decoded. Exits 1 when no letter has that number."""
    with explained():
        from commands.dead_letters import chosen, letters, shown

        for letter in chosen(letters(read_settings()), [number]):
            print(shown(letter))
            return
        print(f"sendlens: there is no letter {number}: see `sendlens dead list`", file=sys.stderr)
        raise typer.Exit(BAD_INPUT)


@app.command("replay")
def dead_replay(
    numbers: Numbers = None,
    stage: OfStage = "",
    reason: ForReason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    late: Annotated[bool, typer.Option("--late", help="Also hits of more than two days ago; reclassify them.")] = False,
) -> None:
    """Put records back on their topics and partitions. Duplicates change no number, so it may be repeated."""
    with explained():
        from commands.dead_letters import chosen, letters, replay

        if not (numbers or stage or reason):
            raise Misconfigured("say which: letters' numbers, --stage or --reason")
        settings = read_settings()
        some = chosen(letters(settings), numbers or [], stage, reason)
        done = replay(settings, some, dry_run=dry_run, late=late, now=datetime.now(UTC))
        for line in done.report("would be written" if dry_run else "written"):
            print(line)
        if not some:
            print("sendlens: no letter is meant by that: see `sendlens dead list`", file=sys.stderr)
            raise typer.Exit(BAD_INPUT)
