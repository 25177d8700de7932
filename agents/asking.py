"""A stage's questions to ClickHouse, by the names of its queries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.queries import get
from clickhouse.store import connect
from schemas.errors import Retry
from schemas.settings import Settings


class Asking:
    """One client, connected at the first question, and again after ClickHouse was away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    async def ask(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        """The rows that answer a query. Raises Retry while ClickHouse can't say, Misconfigured when it refuses us."""
        return await asyncio.to_thread(self._ask, name, parameters)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _ask(self, name: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        query = get(name)
        if self._client is None:
            # In the body: ids by the thousand don't fit a URL.
            self._client = connect(self._settings, form_encode_query_params=True)
        try:
            return self._client.query(query.sql, parameters=query.values(parameters)).result_rows
        except ClickHouseError as error:
            raise Retry(f"ClickHouse does not answer {name}: {str(error)[:200]}") from error
