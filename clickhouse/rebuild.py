"""Rebuilds the tables derived from `events`, by the same queries as the materialised views and counting.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clickhouse_connect.driver.client import Client

from clickhouse.counting import DERIVED, mark_everything, propagate_campaign, recounted
from clickhouse.queries import get
from schemas.errors import Misconfigured

# Tables that a view fills from events, row by row or email by email.
_FILLED = ("outcomes", "judged_hits", "rare_events", "lead_emails", "last_events")
_MOST_EVENTS = 5_000_000  # of one statement: some 2 GB while emails are made of them


def rebuild(client: Client, report: Callable[[str], object]) -> int:
    """Rebuild everything derived from `events`, campaign by campaign, calling `report` with each; returns how
    many. Interrupted, the next call goes on. Until it is done, numbers lack what was not reached."""
    begun, campaigns = client.query(get("rebuild_how_far").sql).result_rows[0]
    if not begun:
        client.insert("rebuilding", [[""]], column_names=["campaign"])
    if not campaigns:  # also where a migration has asked for it, and rollups lack what is new
        mark_everything(client)
    if not begun:  # now a query that finds no counts reads row by row
        for table in DERIVED:
            if table != "slots":  # its versions only ever grow
                client.command(f"TRUNCATE TABLE {table}")
    done = 0
    for campaign, events in client.query(get("rebuild_campaigns").sql).result_rows:
        pieces = 1 + int(events) // _MOST_EVENTS
        for piece in range(pieces):
            for table in _FILLED:
                where = "campaign = {campaign:String} AND cityHash64(delivery_id) % {pieces:UInt32} = {piece:UInt32}"
                client.command(
                    _through_view(client, table, where),
                    parameters={"campaign": campaign, "pieces": pieces, "piece": piece},
                )
        propagate_campaign(client, str(campaign))
        client.insert("rebuilding", [[campaign]], column_names=["campaign"])
        report(f"{campaign}: {events} events")
        done += 1
    for table in _FILLED:  # what is of no campaign
        client.command(_through_view(client, table, "campaign = ''"))
    client.command("TRUNCATE TABLE rebuilding")
    return done


def is_rebuilding(client: Client) -> bool:
    """Whether a rebuild has begun and is not done."""
    return bool(client.query("SELECT count() FROM rebuilding").result_rows[0][0])


def rebuild_outcomes(client: Client, deliveries: Sequence[str]) -> None:
    """Rewrite the outcomes of these emails, given by ClickHouse's ids of them, and everything derived from them.

    A minimum can't be taken back, so the rows are deleted first: for a moment these emails are missing. Raises
    Misconfigured when the view is not the one that `sendlens migrate` makes.
    """
    these = ", ".join(f"'{delivery}'" for delivery in deliveries)
    with recounted(client, deliveries):
        for table in ("outcomes", "lead_emails"):
            client.command(f"DELETE FROM {table} WHERE delivery_id IN ({these})")  # noqa: S608  # our UUIDs
            client.command(_through_view(client, table, f"delivery_id IN ({these})"))


def _through_view(client: Client, table: str, where: str) -> str:
    """What the table's materialised view does with a new event, done with all events of some emails."""
    view = f"{table}_from_events"
    database, select = map(str, client.query(get("rebuild_view").sql, parameters={"view": view}).result_rows[0])
    source = f"FROM {database}.events"
    if select.count(source) != 1:
        raise Misconfigured(f"the view {view} is not as `sendlens migrate` makes it")
    columns = ", ".join(row[0] for row in client.query(f"DESCRIBE TABLE {view}").result_rows)
    chosen = f"FROM (SELECT * FROM {database}.events FINAL WHERE {where}) AS events"  # noqa: S608  # ours
    return f"INSERT INTO {table} ({columns}) {select.replace(source, chosen)}"
