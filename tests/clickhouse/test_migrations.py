"""The migrations: a new file brings an older database to today's shape with its rows, and every rerun changes nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import views
from clickhouse.counting import COUNTS
from clickhouse.migrate import migrate
from clickhouse.queries import VIEWS
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.schema import FOLDER, migrations
from clickhouse.schema import lock as migration_lock
from clickhouse.store import connect, insert_lines
from schemas.errors import Misconfigured
from schemas.events import CampaignPaused, Resubscribed, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id
from tests.clickhouse.conftest import fresh_database
from tests.support.migrated import migrated_database
from tests.support.processes import ClickHouseProcess

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def settings(embedded_clickhouse: ClickHouseProcess) -> Iterator[Settings]:
    yield from fresh_database(embedded_clickhouse)


@pytest.fixture(scope="module")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Settings]]:
    """Migrated databases with nothing in them, one for each test that has `today` and one that nobody takes: a copy is a
    tenth of a migration."""
    tests = [one for one in request.session.items if one.path == request.path]
    names = [f"today_{n}" for n, one in enumerate(tests) if "today" in getattr(one, "fixturenames", ())]
    names.insert(0, "untouched")
    with migrated_database(tmp_path_factory.mktemp("today"), also=names) as settings:
        yield [settings.model_copy(update={"clickhouse_database": name}) for name in names]


@pytest.fixture
def migrated(databases: list[Settings]) -> Settings:
    return databases.pop()


@pytest.fixture
def today(migrated: Settings) -> Iterator[Client]:
    with connect(migrated) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The schema, for a test to change as a later release would."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schema"))


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def told(*events: Unsubscribed | Resubscribed | CampaignPaused) -> bytes:
    return lines(events)


def unsubscribed(after: int) -> Unsubscribed:
    return Unsubscribed(**_of(after), via="page")


def resubscribed(after: int) -> Resubscribed:
    return Resubscribed(**_of(after))


def _of(after: int) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()),
        "at": AT + timedelta(hours=after),
        "delivery_id": str(delivery_id("spring", 1, "lead-1")),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
    }


def test_every_file_is_applied_once_and_in_order(settings: Settings) -> None:
    assert migrate(settings) == [migration.name for migration in migrations()]
    assert migrate(settings) == []


def test_a_migration_that_was_killed_half_way_is_simply_run_again(today: Client, migrated: Settings) -> None:
    insert_lines(today, "events", told(unsubscribed(0)))
    today.command("DELETE FROM migrations WHERE name = '040_counts'")
    today.command("DROP TABLE link_counts")
    assert migrate(migrated) == ["040_counts"]
    assert today.query("SELECT count() FROM v_outcomes").result_rows == [(1,)]
    assert today.query("SELECT count() FROM link_counts").result_rows == [(0,)]


def made(client: Client) -> dict[str, uuid.UUID]:
    """Every view, and which one of that name it is."""
    return dict(
        client.query(
            "SELECT name, uuid FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
        ).result_rows
    )


def definitions(client: Client) -> list[tuple[object, ...]]:
    """What ClickHouse says of every view."""
    return [
        tuple(row)
        for row in client.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND engine = 'View' ORDER BY name"
        ).result_rows
    ]


def test_views_that_are_todays_are_left_and_if_one_is_not_all_are_made_again_whatever_was_killed(
    today: Client, migrated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    was_made, said = made(today), definitions(today)
    assert migrate(migrated) == []
    assert made(today) == was_made, "none was made again"
    first, *_, last = VIEWS
    for name in (first, last):
        today.command(f"DROP VIEW {name}")
    today.command("ALTER TABLE v_daily COMMENT COLUMN sent 'something else'")
    left = iter(range(len(VIEWS) // 2))

    class Killed(Exception):
        pass

    def die(_: object) -> None:
        if next(left, None) is None:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(migration_lock.MigrationLock, "check", die)
        with pytest.raises(Killed):
            migrate(migrated)
    assert {first, last} & made(today).keys() == {first}
    assert migrate(migrated) == []
    assert definitions(today) == said
    again = made(today)
    assert not set(again.values()) & {was_made[name] for name in VIEWS}
    assert migrate(migrated) == []
    assert made(today) == again


def test_whatever_a_view_came_to_be_makes_it_another_than_todays(today: Client) -> None:
    def fingerprint(*more: str) -> str:
        return views.fingerprint(today, [*(text for _, text in views.statements()), *more])

    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    seen.append(fingerprint("SELECT 1"))  # another release's text
    for change in (
        "CREATE OR REPLACE VIEW v_senders AS SELECT 1 AS health",
        "CREATE OR REPLACE VIEW funnel AS SELECT {since:DateTime} AS sent",
        "ALTER TABLE v_senders MODIFY COMMENT 'Senders.'",
        "ALTER TABLE v_senders COMMENT COLUMN health 'Well?'",
        "DROP VIEW v_senders",
        "ALTER TABLE outcomes ADD COLUMN colour String",
        "ALTER TABLE links MODIFY COLUMN url LowCardinality(String)",
        "CREATE VIEW mine AS SELECT 1 AS one",
    ):
        today.command(change)
        seen.append(fingerprint())
        assert len(set(seen)) == len(seen), change


def test_a_lock_that_is_held_makes_no_view_another_and_nor_does_a_database_of_another_name(
    today: Client, databases: list[Settings], migrated: Settings
) -> None:
    texts = [text for _, text in views.statements()]
    before = views.fingerprint(today, texts)
    with migration_lock.migrating(migrated, today), migration_lock.reporting(migrated, today):
        assert views.fingerprint(today, texts) == before
    (kept,) = today.query("SELECT sha256 FROM migrations FINAL WHERE name = 'views'").result_rows
    assert kept != (before,), "that is of the texts of the schema too"
    with connect(databases[0]) as other:
        assert views.fingerprint(other, texts) == before


def test_a_table_that_is_edited_after_it_was_made_is_refused_and_a_comment_is_not(
    settings: Settings, folder: Path
) -> None:
    migrate(settings, folder)
    edit(folder / "050_state.sql", ("-- What the state topics hold", "-- What all state topics hold"))
    assert migrate(settings, folder) == []
    edit(folder / "050_state.sql", ("    kinds Array", "    colour String,\n    kinds Array"))
    with pytest.raises(Misconfigured, match="050_state was edited after it was applied"):
        migrate(settings, folder)


def test_a_column_of_outcomes_takes_a_new_file_and_an_edit_of_the_views_beside_the_table(
    settings: Settings, folder: Path
) -> None:
    """The fourth file is clickhouse/columns.py, where the column's meaning stands."""
    migrate(settings, folder)
    with connect(settings) as client:
        insert_lines(client, "events", told(unsubscribed(0)))
        (folder / "080_left_by.sql").write_text(
            "ALTER TABLE outcomes ADD COLUMN IF NOT EXISTS left_by SimpleAggregateFunction(max, String);\n"
        )
        edit(
            folder / "020_emails.sql",
            ("    maxOrNullIf(at, kind = 'unsubscribe')", "    max(toString(via)) AS left_by,\n    maxOrNullIf(at, kind = 'unsubscribe')"),
            ("    variant,\n    delivery_id,\n    lead::String AS lead,\n    sender::String", "    variant,\n    delivery_id,\n    left_by::String AS left_by,\n    lead::String AS lead,\n    sender::String"),
        )  # fmt: skip
        assert migrate(settings, folder) == ["080_left_by"]
        asked = "SELECT left_by, toTypeName(left_by) FROM v_outcomes"
        assert client.query(asked).result_rows == [("", "String")]
        insert_lines(client, "events", told(unsubscribed(1)))
        assert client.query(asked).result_rows == [("page", "String")]
        rebuild_outcomes(client, [unsubscribed(0).delivery_id])
        assert client.query(asked).result_rows == [("page", "String")]


def test_a_database_of_another_layout_is_left_alone_and_named(today: Client, migrated: Settings) -> None:
    today.insert("migrations", [["001_events", "0"]], column_names=["name", "sha256"])
    with pytest.raises(
        Misconfigured, match=r"has another layout \(it applied 001_events.*docs/reference/other-layout.md"
    ) as refused:
        migrate(migrated)
    assert "\n" not in str(refused.value)


def test_known_domains_come_with_a_release_and_overrule_no_row_of_the_operators(
    settings: Settings, folder: Path
) -> None:
    migrate(settings, folder)
    with connect(settings) as client:
        asked = "SELECT provider FROM providers FINAL WHERE domain = {domain:String}"

        def provider(domain: str) -> list[object]:
            return [row[0] for row in client.query(asked, parameters={"domain": domain}).result_rows]

        assert provider("sfr.fr") == ["SFR"]
        assert provider("example.com") == []
        client.command("INSERT INTO providers (domain, provider, source) VALUES ('example.net', 'Ours', 'own')")
        with (folder / "providers.tsv").open("a") as file:
            file.write("example.com\tO'Example\thttps://example.com\nexample.net\tTheirs\thttps://example.net\n")
        assert migrate(settings, folder) == []
        assert provider("example.com") == ["O'Example"]
        assert provider("example.net") == ["Ours"]


def test_every_view_shows_plain_types(today: Client) -> None:
    """Grafana and JDBC know no SimpleAggregateFunction."""
    shown = today.query(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')"
    ).result_rows
    assert {"v_outcomes", "v_sent", "v_campaigns"} <= {table for table, _, _ in shown}
    assert [row for row in shown if "AggregateFunction" in row[2]] == []


def test_every_table_says_what_it_is(today: Client) -> None:
    assert (
        today.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView' AND comment = ''"
        ).result_rows
        == []
    )


def test_there_are_nine_tables_of_counts(today: Client) -> None:
    found = today.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(comment, 'Rollup: ')"
    ).result_rows
    assert {row[0] for row in found} == set(COUNTS)
    assert len(found) <= 9


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([unsubscribed(0)], True),
        ([unsubscribed(0), resubscribed(1)], False),
        ([unsubscribed(0), resubscribed(1), unsubscribed(2)], True),
        ([unsubscribed(0), unsubscribed(1), resubscribed(2)], False),
    ],
    ids=["unsubscribed", "taken back", "and again", "twice, then taken back"],
)
def test_who_takes_an_unsubscribe_back_is_not_unsubscribed(
    today: Client, events: list[Unsubscribed | Resubscribed], counts: bool
) -> None:
    for event in [*reversed(events), *events]:  # in any order, and twice
        insert_lines(today, "events", told(event))
    asked = "SELECT unsubscribed_at IS NOT NULL FROM v_outcomes"
    assert today.query(asked).result_rows == [(counts,)]
    before = today.query("SELECT * REPLACE (arraySort(hours) AS hours) FROM outcomes FINAL").result_rows
    rebuild_outcomes(today, [events[0].delivery_id])
    assert today.query("SELECT * REPLACE (arraySort(hours) AS hours) FROM outcomes FINAL").result_rows == before, (
        "made anew from events, it is the same"
    )


def test_an_event_of_a_campaign_is_no_email(today: Client) -> None:
    paused = CampaignPaused(id=str(uuid.uuid4()), at=AT, campaign="spring", reason="bounces", sent=40, hard_bounced=3)
    insert_lines(today, "events", told(paused))
    assert today.query("SELECT kind, campaign, sent, hard_bounced FROM events").result_rows == [
        ("campaign_paused", "spring", 40, 3)
    ]
    assert today.query("SELECT count() FROM v_outcomes").result_rows == [(0,)]
