"""Makes `outcomes` anew out of `events`, of which it is derived, by the very query of the materialised view."""

from __future__ import annotations

from collections.abc import Sequence

from clickhouse_connect.driver.client import Client

from schemas.errors import Misconfigured

_VIEW = (
    "SELECT database, as_select FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes_from_events'"
)


def rebuild_outcomes(client: Client, deliveries: Sequence[str]) -> None:
    """Write anew the outcomes of these emails, given by the ids that ClickHouse has of them.

    A minimum can't be taken back, so the rows are deleted first: for a moment these emails are missing. Raises
    Misconfigured when the view is not the one that `sendlens migrate` makes.
    """
    these = ", ".join(f"'{delivery}'" for delivery in deliveries)
    client.command(f"DELETE FROM outcomes WHERE delivery_id IN ({these})")  # noqa: S608  # our UUIDs
    client.command(_outcomes_of(client, these))


def _outcomes_of(client: Client, these: str) -> str:
    """What the materialised view does with a new event, done with all events of some emails."""
    database, select = map(str, client.query(_VIEW).result_rows[0])
    source = f"FROM {database}.events"
    if select.count(source) != 1:
        raise Misconfigured("the view outcomes_from_events is not as `sendlens migrate` makes it")
    columns = ", ".join(row[0] for row in client.query("DESCRIBE TABLE outcomes_from_events").result_rows)
    chosen = f"FROM (SELECT * FROM {database}.events FINAL WHERE delivery_id IN ({these})) AS events"  # noqa: S608
    return f"INSERT INTO outcomes ({columns}) {select.replace(source, chosen)}"
