"""`sendlens lead`: what is known of a person, and people who are to be forgotten."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.edge import explained, read_settings

app = typer.Typer(no_args_is_help=True, help="People: what is known of them, and how they are forgotten.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be erased; change nothing.")]


@app.command("export")
def lead_export(
    address: Annotated[str, typer.Argument(help="The person's address.", metavar="EMAIL")],
    lead: Annotated[
        list[str] | None, typer.Option("--lead", help="A lead's id that is theirs as well; may be repeated.")
    ] = None,
) -> None:
    """Print everything that is known of a person, as JSON: emails, what happened to them, texts, hits, and why no mail.

    What came in within the last seconds may be missing.
    """
    with explained():
        import json

        from clickhouse.store import connect
        from commands.people.lead_export import exported
        from schemas.text import escaped

        settings = read_settings()
        with connect(settings, form_encode_query_params=True) as client:
            found = exported(settings, client, address, lead or [], datetime.now(UTC))
        print(escaped(json.dumps(found, indent=2, ensure_ascii=False)))


@app.command("erase")
def lead_erase(
    address: Annotated[str, typer.Argument(help="The person's address.", metavar="EMAIL")],
    lead: Annotated[
        list[str] | None, typer.Option("--lead", help="A lead's id that is theirs as well; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Erase a person: no text, address, IP or lead id stays, no number changes, and nobody mails them again.

    Says what it removed, by table, and what goes by itself, and when. It may be repeated, and goes on where it was
    interrupted.
    """
    with explained():
        from clickhouse.store import connect
        from commands.people.erase import erase_person

        settings = read_settings()
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        now = datetime.now(UTC)
        with connect(settings, form_encode_query_params=True) as client:
            done = erase_person(settings, client, address, lead or [], now, dry_run=dry_run)
        for line in done.report(now):
            print(line)
        if not done.leads:
            print("no lead is known by this address; it gets no mail from now on all the same")


@app.command("sweep")
def lead_sweep(dry_run: DryRun = False) -> None:
    """Erase what came of people after they were erased: they opened an old email, a record was late. For every day."""
    with explained():
        from clickhouse.store import connect
        from commands.people.erase import erase_again

        settings = read_settings()
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        now = datetime.now(UTC)
        with connect(settings, form_encode_query_params=True) as client:
            done = erase_again(settings, client, now, dry_run=dry_run)
        for line in done.report(now):
            print(line)
