"""The numbers that views give of a database, to be compared with those of another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.query_parameters import QueryParameters
from tests.dashboards.month import SHOWN_LEAD

EVER = QueryParameters(datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC), (), "UTC", lead=SHOWN_LEAD)
# Of each subject one: emails by when they were sent, what happened when, hits, health, bounces, and each kind of rollup.
FEW = ("headline", "v_campaigns", "v_senders", "v_domains", "robots_by_user_agent", "robots_by_network")
OF_ROLLUPS = ("chosen_rollups", "stale_hours", "hours_with")


def every_number(client: Client) -> dict[str, list[str]]:
    """The rows of all views that the clock does not change, as text and sorted, by the view's name.

    A base view has as many rows as it found rollups, or tells of them, so it is left out: whether they were made
    changes no number.
    """
    names = [
        name
        for name, view in queries.VIEWS.items()
        if "now" not in view.definition and name not in OF_ROLLUPS and not name.endswith("_counted")
    ]
    found = numbers(client, *names)
    assert len(found) > 30, sorted(found)
    return found


def numbers(client: Client, *names: str) -> dict[str, list[str]]:
    """The rows of these views, or of a few; a view with a parameter that is not a board's is left out."""
    given = EVER.parameters()
    found = {}
    for name in names or FEW:
        view = queries.VIEWS[name]
        if view.parameters.keys() <= given.keys():
            rows: list[Any] = list(client.query(view.sql, parameters=view.values(given)).result_rows)
            found[name] = sorted(map(str, rows))
    return found
