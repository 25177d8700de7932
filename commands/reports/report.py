"""`sendlens report`: the Overview of a day or a week as an email."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.edge import explained, read_settings
from schemas.errors import Misconfigured


def report(
    weekly: Annotated[bool, typer.Option("--weekly", help="Of a week, from Monday.")] = False,
    daily: Annotated[bool, typer.Option("--daily", help="Of a day. Default: SENDLENS_REPORT_PERIOD.")] = False,
    to: Annotated[list[str] | None, typer.Option(help="To whom; may be repeated. Default: SENDLENS_REPORT_TO.")] = None,
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day, or a day of the week. Default: the last that is over."),
    ] = None,
    written_to: Annotated[
        Path | None, typer.Option("--print", help="Send nothing; write the email to this file (.eml).")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also to those whom it was sent to.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Stay, and send each when it is due.")] = False,
) -> None:
    """Email the Overview of the last week or day that is over, with the changes against the one before. Each recipient
    gets a report once, however often and by however many processes this is run."""
    with explained():
        from commands.reports import report_sending
        from dashboards.report.report_period import holding, last_ended

        if weekly and daily:
            raise Misconfigured("--weekly or --daily, not both")
        settings = read_settings(**({"report_period": "weekly" if weekly else "daily"} if weekly or daily else {}))
        rhythm, timezone = settings.report_period, settings.report_timezone
        if stay:
            if not report_sending.recipients(settings.report_to):
                raise Misconfigured("SENDLENS_REPORT_TO is empty: say who gets the report")
            report_sending.stay(settings)
            return
        now = datetime.now(UTC)
        period = holding(on.date(), rhythm, timezone) if on else last_ended(now, rhythm, timezone)
        addresses = report_sending.recipients(",".join(to or []) or settings.report_to)
        if written_to is not None:
            report_sending.write(settings, period, addresses, now, written_to)
            print(f"{period.title}: written to {written_to}")
            return
        if not addresses:
            raise Misconfigured("nobody is to get the report: set SENDLENS_REPORT_TO, or name them by --to")
        if period.until > now:
            raise Misconfigured(f"this {period.unit} is not over: it can be looked at with --print FILE")
        done = report_sending.send(settings, period, addresses, now, again=again)
        print(f"{period.title}: sent to {', '.join(done) or 'nobody, for all have it'}")
