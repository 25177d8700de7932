"""`sendlens webhooks`: the endpoints that get events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.edge import DAYS, explained, read_settings

app = typer.Typer(no_args_is_help=True, help="Webhooks: who is told of events, and what they missed.")

Which = Annotated[str, typer.Argument(help="The endpoint's id, or its beginning.")]


@app.command("add")
def webhooks_add(
    url: Annotated[str, typer.Argument(help="Where events go, as https://host/path.")],
    kind: Annotated[list[str] | None, typer.Option(help="A kind of event; may be repeated. Default: all.")] = None,
    with_to: Annotated[
        bool, typer.Option("--with-to", help="Tell it the address that an email went to (SENDLENS_WEBHOOKS_TO).")
    ] = False,
) -> None:
    """Tell an address of events from now on. Its secret is shown; `list` shows it again."""
    with explained():
        from agents.webhooks.endpoint_admin import add

        endpoint, secret = add(read_settings(), url, kind or [], datetime.now(UTC), with_to=with_to)
        print(f"{endpoint.id}  {', '.join(endpoint.kinds) or 'all events'} to {endpoint.url}")
        print(f"It verifies signatures (Standard Webhooks) with\n  {secret}")


@app.command("list")
def webhooks_list(
    secrets: Annotated[bool, typer.Option("--secrets", help="Show what each verifies signatures with.")] = False,
) -> None:
    """Every endpoint: its id, whether it is enabled, what it is told of."""
    with explained():
        from agents.webhooks.endpoint_admin import listed
        from schemas.state.endpoints import secret

        settings = read_settings()
        for endpoint in listed(settings):
            why = f" ({endpoint.reason})" if endpoint.reason else ""
            state = f"{endpoint.state} since {endpoint.since:%Y-%m-%d %H:%M:%S}{why}"
            print(f"{endpoint.id}  {state}  {', '.join(endpoint.kinds) or 'all events'} to {endpoint.url}")
            if secrets:
                print(f"  {secret(settings, endpoint.id)}")


@app.command("remove")
def webhooks_remove(endpoint: Which) -> None:
    """Tell it nothing more, and forget it."""
    with explained():
        from agents.webhooks.endpoint_admin import change, named

        settings = read_settings()
        changed = change(settings, named(settings, endpoint), "removed", datetime.now(UTC))
        print(f"{changed.id} is removed")


@app.command("enable")
def webhooks_enable(endpoint: Which) -> None:
    """Tell it of events again, from now on; what it missed comes with `redeliver`."""
    with explained():
        from agents.webhooks.endpoint_admin import change, named

        settings = read_settings()
        before = named(settings, endpoint)
        change(settings, before, "enabled", datetime.now(UTC))
        missed = f"sendlens webhooks redeliver {before.id} --from {before.since:%Y-%m-%dT%H:%M:%S}"
        print(f"{before.id} is enabled; what it missed: {missed}")


@app.command("redeliver")
def webhooks_redeliver(
    endpoint: Which,
    start: Annotated[datetime, typer.Option("--from", formats=DAYS, help="First moment, UTC.")],
    end: Annotated[datetime | None, typer.Option("--to", formats=DAYS, help="End, UTC. Default: now.")] = None,
) -> None:
    """Tell it again of the stored events of a time, under the ids that they had."""
    with explained():
        from agents.webhooks.endpoint_admin import named, redeliver
        from clickhouse.store import connect

        settings = read_settings()
        now = datetime.now(UTC)
        until = end.replace(tzinfo=UTC) if end else now
        with connect(settings) as client:
            count = redeliver(settings, client, named(settings, endpoint), start.replace(tzinfo=UTC), until, now)
        print(f"{count} events wait for {endpoint}")
