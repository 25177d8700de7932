"""An erasure that is killed in the middle is simply run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from commands.people.erase import erase_person
from schemas.events import Lead, lead_key
from schemas.topics import LEADS
from stream.state import StateTopic
from tests.commands.lives import ADDRESS, LEADS_OF_ADA, NOW, lived_stream, needles, numbers, places
from tests.support.broker import Broker
from tests.support.stream import Stream
from tests.support.waiting import wait_until


@pytest.fixture
def lived(tmp_path: Path, broker: Broker) -> Iterator[Stream]:
    with lived_stream(tmp_path, broker) as stream:
        yield stream


class Killed(BaseException):
    """Nothing in between may catch it."""


class Mortal:
    """A client whose process is killed right after the first change that begins so."""

    def __init__(self, client: Client, dies_after: str) -> None:
        self._client = client
        self._dies_after = dies_after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def raw_insert(self, table: str, **more: Any) -> None:
        self._client.raw_insert(table, **more)
        self._die(f"INSERT {table}")

    def command(self, sql: str, **more: Any) -> None:
        self._client.command(sql, **more)
        self._die(sql)

    def _die(self, change: str) -> None:
        if change.startswith(self._dies_after):
            raise Killed


def test_one_that_is_killed_again_and_again_and_run_once_more_leaves_nothing_either(lived: Stream) -> None:
    """After the facts, in the middle of the tables, among the counts, and between the last table's two leads."""
    with lived.client() as client:
        before = numbers(client)
        for dies_after in (
            "INSERT lead_facts",
            "ALTER TABLE retries",
            "ALTER TABLE email_counts",
            "ALTER TABLE events",
        ):
            with pytest.raises(Killed):
                erase_person(lived.settings, Mortal(client, dies_after), ADDRESS, [], NOW)  # type: ignore[arg-type]
        erase_person(lived.settings, client, ADDRESS, [], NOW)
        told = {needle: places(client, needle) for needle in needles(lived.settings)}
        assert told.pop(lived.settings.keyring.address_ids(ADDRESS)[0]) == ["lead_facts.lead", "mutations"]
        assert told == {needle: [] for needle in told}
        assert numbers(client) == before
    view = StateTopic(lived.settings, LEADS, Lead, key=lambda lead: lead.key)
    view.start()
    try:
        wait_until(lambda: view.ready, 20, "the facts")
        lead = lived.settings.keyring.lead_ids(LEADS_OF_ADA[0])[0]
        found = view.get(lead_key(lead, "erased", of="hashed-lead"))
        assert found is not None
        assert found.holds
        assert view.get(lead_key(LEADS_OF_ADA[0], "complained")) is None
    finally:
        view.stop()
