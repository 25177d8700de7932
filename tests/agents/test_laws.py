"""The law of the numbers: any stream, with any duplicates and any kill, counts as the stream once.

The stages are the real ones (line, judge, store) on a real ClickHouse; Kafka is on paper and time is virtual, so that
many are tried. SENDLENS_LAW_EXAMPLES says how many; `make laws` tries 2,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agents.pipeline import JUDGE, STORE
from clickhouse.counting import DERIVED
from clickhouse.queries import get
from clickhouse.store import connect
from commands.reclassify import Reclassification
from decisions.robots.rules import Rules
from schemas.settings import Settings, load
from tests.agents.paper_kafka import Life, Log, Written, play
from tests.agents.streams import PARTITIONS, START, Example, examples, lives
from tests.agents.virtual_time import run
from tests.support.migrated import start_migrated

TRIES = int(os.environ.get("SENDLENS_LAW_EXAMPLES", "5"))
TABLES = ("events", "hits", *DERIVED, "campaigns", "pauses", "lead_facts", "links", "reclassifications")
# What is asked of every house: each table's rows as its readers see them, then what the page shows.
_SEEN = "SELECT * FROM ({}) ORDER BY ALL".format(
    " UNION ALL ".join(
        f"SELECT '{name}' AS seen, toString(tuple({columns})) AS row FROM {source}"
        for name, columns, source in (
            ("outcomes", "*", "v_outcomes"),
            ("events", "* EXCEPT stored_at", "events FINAL"),
            ("hits", "*", "hits FINAL"),
            ("campaigns", "* EXCEPT stored_at", "campaigns FINAL"),
            ("pauses", "* EXCEPT stored_at", "pauses FINAL"),
            ("lead_facts", "* EXCEPT stored_at", "lead_facts FINAL"),
            ("links", "* EXCEPT stored_at", "links FINAL"),
        )
    )
)
_SHOWN = ("headline", "by_variant", "hit_headline", "hits_by_reason")
_PERIOD = {"since": START - timedelta(hours=1), "until": START + timedelta(hours=2), "campaigns": [], "steps": []}

# A smaller example is worth minutes only to whoever looks for the fault.
many = settings(
    max_examples=TRIES,
    phases=list(Phase) if TRIES > 100 else [Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)


@dataclass
class House:
    """A migrated database, emptied before each stream, and the stages that write to it."""

    settings: Settings
    client: Client
    rules: Rules

    def play(
        self, stream: tuple[Written, ...] | list[Written], judge: list[Life], store: list[Life], view_lag: float = 0.0
    ) -> Log:
        for table in TABLES:
            self.client.command(f"TRUNCATE TABLE {table}")
        work = play(stream, {JUDGE: judge, STORE: store}, view_lag, self.settings, self.client, self.rules)
        return run(work, longest=86_400)

    def numbers(self) -> dict[str, Any]:
        """Everything that anybody may see, by what asks for it."""
        found: dict[str, Any] = {"rows": self.client.query(_SEEN).result_rows}
        for name in _SHOWN:
            query = get(name)
            found[name] = self.client.query(query.asked, parameters=query.values(_PERIOD)).result_rows
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, rules: Rules) -> Iterator[Callable[[str], House]]:
    """Houses by name, each a database of its own in one ClickHouse."""
    folder = tmp_path_factory.mktemp("laws")
    process = start_migrated(folder / "clickhouse", also=("once", "again"))
    made: dict[str, House] = {}

    def of(name: str) -> House:
        if name not in made:
            of_house = load(
                clickhouse_url=process.url,
                clickhouse_database=name,
                data_dir=folder,
                partitions=PARTITIONS,
                honeypot=True,
            )
            made[name] = House(of_house, connect(of_house), rules)
        return made[name]

    yield of
    for one in made.values():
        one.client.close()
    process.kill()


@many
@given(data=st.data(), judge=lives(), store=lives(), view_lag=st.sampled_from([0.0, 0.3, 2.0]))
def test_any_stream_with_any_duplicates_and_any_kill_counts_as_the_stream_once(
    house: Callable[[str], House], data: st.DataObject, judge: list[Life], store: list[Life], view_lag: float
) -> None:
    once, again = house("once"), house("again")
    example: Example = data.draw(examples(once.settings))
    assert once.play(example.stream, [Life()], [Life(poll=7_200)]).dead == []
    assert again.play(example.repeated(), judge, store, view_lag).dead == []
    expected, found = once.numbers(), again.numbers()
    for name in expected:
        assert found[name] == expected[name], name


@many
@given(data=st.data(), judge=lives(), store=lives())
def test_judging_again_by_the_same_rules_changes_no_number_whatever_was_killed_before(
    house: Callable[[str], House], data: st.DataObject, judge: list[Life], store: list[Life]
) -> None:
    again = house("again")
    example: Example = data.draw(examples(again.settings, punctual=True))
    again.play(example.repeated(), judge, store)
    before = again.numbers()
    done = Reclassification(again.settings, again.client, again.rules, lambda progress: None).run(
        START - timedelta(hours=1), START + timedelta(hours=2)
    )
    assert (done.changed, done.rebuilt) == (0, 0)
    assert again.numbers() == before
