"""`sendlens unanswered`: emails whose outcome is unknown."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.edge import BAD_INPUT, explained, read_settings
from schemas.errors import Misconfigured

app = typer.Typer(
    no_args_is_help=True, help="Emails that may have gone out or not: their worker died at the mail server. You decide."
)

Deliveries = Annotated[list[str] | None, typer.Argument(help="Delivery ids, as `unanswered list` gives them.")]


@app.command("list")
def unanswered_list() -> None:
    """What waits for your decision, a line each; look the message id up in your mail server's log."""
    with explained():
        from agents.sender.unanswered_emails import UnansweredEmails, report_lines

        settings = read_settings()
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # stdout is for the list; what fails is told as Retry
        with UnansweredEmails(settings) as unanswered:
            for line in report_lines(unanswered.list()):
                print(line)


@app.command("settle")
def unanswered_settle(
    deliveries: Deliveries = None,
    everything: Annotated[bool, typer.Option("--all", help="All that wait for a decision.")] = False,
    sent: Annotated[bool, typer.Option("--sent", help="They went out: count them as sent and delivered.")] = False,
    again: Annotated[bool, typer.Option("--again", help="They did not: let them go out once more.")] = False,
) -> None:
    """Decide. Exits 1 when one of them doesn't wait for a decision."""
    with explained():
        from agents.sender.unanswered_emails import UnansweredEmails

        if sent == again:
            raise Misconfigured("say what became of them: --sent or --again")
        if bool(deliveries) == everything:
            raise Misconfigured("say which: delivery ids, or --all")
        settings = read_settings()
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        with UnansweredEmails(settings) as unanswered:
            waits = {wait.delivery_id: wait for wait in unanswered.list()}
            unknown = [id_ for id_ in deliveries or [] if id_ not in waits]
            for id_ in deliveries or list(waits):
                if id_ in waits:
                    decide = unanswered.sent if sent else unanswered.again
                    decide(waits.pop(id_), datetime.now(UTC))
                    print(f"{id_}: {'counted as sent' if sent else 'goes out once more'}")
        for id_ in unknown:
            print(f"sendlens: {id_} waits for no decision: see `sendlens unanswered list`", file=sys.stderr)
        if unknown:
            raise typer.Exit(BAD_INPUT)
