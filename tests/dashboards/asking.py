"""Puts a board's query to a database, with what a viewer may choose."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.query_parameters import QueryParameters


def ask(
    client: Client,
    name: str,
    since: datetime,
    until: datetime,
    *,
    campaigns: tuple[str, ...] = (),
    timezone: str = "UTC",
    steps: tuple[int, ...] = (),
    senders: tuple[str, ...] = (),
    lead: str = "",
) -> list[dict[str, Any]]:
    """The answer's rows."""
    query = queries.get(name)
    asked = QueryParameters(since, until, campaigns, timezone, steps, senders, lead).parameters()
    return list(client.query(query.sql, parameters=query.values(asked)).named_results())
