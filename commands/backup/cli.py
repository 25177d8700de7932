"""`sendlens backup`, `sendlens restore` and `sendlens rewind`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.edge import DAYS, explained, read_settings
from schemas.errors import Misconfigured

# Records that were in flight when a backup began are read again as well, and clocks may differ.
_EARLIER = timedelta(minutes=10)


def _say(line: str) -> None:
    print(line, flush=True)


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder; each backup has its own.")],
    clickhouse: Annotated[
        str,
        typer.Option(
            help="Where a ClickHouse server keeps its part: File('name'), Disk('disk', 'name') or "
            "S3(named_collection, 'name'). Default: File of the folder's name, on the server."
        ),
    ] = "",
) -> None:
    """Back up ClickHouse's tables, the token keys, senders.toml and the spool, while Sendlens runs or not."""
    with explained():
        from commands.backup.save import report, save

        made = save(read_settings(), folder, clickhouse, _say)
        for line in report(made, folder):
            print(line)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `sendlens backup` wrote.")],
    over: Annotated[bool, typer.Option("--over", help="Replace what the database holds.")] = False,
    clickhouse: Annotated[
        str, typer.Option(help="Where a ClickHouse server finds its part, if not where it was written.")
    ] = "",
) -> None:
    """Bring a backup to an installation without data. Stop Sendlens first. Then `sendlens rewind`, if Kafka is kept."""
    with explained():
        from commands.backup.restore import restore as bring_back

        made = bring_back(folder, over=over, place=clickhouse, say=_say)
        print(f"restored: {made.tables.get('events', 0)} rows of events, as of {made.began_at:%Y-%m-%d %H:%M:%S} UTC")


def rewind(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The backup that was restored: since it was made.")
    ] = None,
    since: Annotated[datetime | None, typer.Option("--to", formats=DAYS, help="Or since this moment, UTC.")] = None,
) -> None:
    """After restoring an older backup with Kafka as it was: have the store read again what Kafka has had since then.

    Stop all workers first. Reading twice changes no number.
    """
    with explained():
        from agents.pipeline import STORE
        from commands.backup import manifest
        from stream.offsets import group_of
        from stream.rewinding import rewind as rewind_group

        if (folder is None) == (since is None):
            raise Misconfigured("say since when: the folder of a backup, or --to")
        moment = since.replace(tzinfo=UTC) if since else manifest.read(folder or Path()).began_at - _EARLIER
        settings = read_settings()
        for topic in rewind_group(settings, group_of(settings, STORE.name), STORE.takes, moment):
            print(f"{topic.topic:<12}{topic.records:>10} records will be read again")
            if (until := topic.missing_until) is not None:
                print(f"{topic.topic:<12} Kafka has nothing left from before {until:%Y-%m-%d %H:%M} UTC")
