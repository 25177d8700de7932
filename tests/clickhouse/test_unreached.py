"""A ClickHouse that is not reached: the error says why, and not how a library is made."""

from __future__ import annotations

import pytest

from clickhouse.store import connect
from schemas.errors import Retry
from schemas.settings import Settings
from tests.support.processes import free_port


@pytest.mark.parametrize(
    ("place", "why"),
    [("127.0.0.1", "Connection refused"), ("nowhere.invalid", "Failed to resolve 'nowhere.invalid'")],
)
def test_a_server_that_is_not_reached_is_told_in_a_few_words(place: str, why: str) -> None:
    settings = Settings(clickhouse_url=f"http://{place}:{free_port()}", _env_file=None)  # type: ignore[call-arg]
    with pytest.raises(Retry, match=r"^ClickHouse: no answer: ") as told:
        connect(settings)
    assert why in str(told.value)
    for word in ("HTTPConnection", "Max retries", "query_id", "Caused"):
        assert word not in str(told.value)
