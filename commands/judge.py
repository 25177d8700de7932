"""`sendlens judge`: ask the judge about hits or mails, without any service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.edge import BAD_INPUT, explained
from schemas.text import one_line

app = typer.Typer(no_args_is_help=True, help="Ask the judge about hits or mails, without any service.")


@app.command("hits")
def judge_hits(
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the agent, the network, and what each rule says, in order.")
    ] = False,
    asn_database: Annotated[
        str, typer.Option(envvar="SENDLENS_ASN_DATABASE", help="A MaxMind DB file of AS numbers.")
    ] = "",
) -> None:
    """Judge hits: NDJSON on stdin (id, kind, user_agent, ...), NDJSON on stdout (id, verdict, reason), same order."""
    with explained():
        from agents.judge.asn import asn_lookup
        from commands.judge_lines import judge_lines
        from decisions.robots.rules import Rules

        out = sys.stdout.buffer
        rules = Rules.load(asn_lookup(asn_database))
        bad = judge_lines(
            sys.stdin.buffer, rules, out.write, lambda line: print(line, file=sys.stderr), explained=explain
        )
        out.flush()
        if bad:
            raise typer.Exit(BAD_INPUT)


@app.command("mail")
def judge_mail(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Raw mails (RFC 5322), one a file.")],
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Add the evidence that decided: its name, its weight, and where it was found."),
    ] = False,
) -> None:
    """Judge mails: replies, bounces, complaints. A JSON line for each: file, kind, recipients, text.

    With --explain also "evidence", in the order that it was asked for: "about" the "kind" of the mail or an address,
    "name" of the sign or rule, "where" it was found, and "weight", its points, where signs vote. What has no weight
    decided by itself.

    With SENDLENS_TOKEN_KEYS, or the keys in SENDLENS_DATA_DIR, it also says which delivery a token proves.
    """
    with explained():
        from commands.judge_mails import judge_mails
        from schemas.settings import kept_keyring

        out = sys.stdout.buffer
        bad = judge_mails(
            files,
            kept_keyring(),
            out.write,
            lambda line: print(f"sendlens: {one_line(line)}", file=sys.stderr),
            explained=explain,
        )
        out.flush()
        if bad:
            raise typer.Exit(BAD_INPUT)
