"""Rollups that an older release made, or that a rebuild has not reached, are not used for what they know nothing of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import counting
from clickhouse.migrate import migrate
from clickhouse.rebuild import rebuild
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of
from tests.clickhouse.test_counting import asked, assert_all_right, empty

_SINCE, _UNTIL = BASE - timedelta(hours=1), BASE + timedelta(days=4)
_WITHOUT = ("not_opened", "not_clicked", "not_replied")
# What the store and a rebuild write of events, row by row or email by email.
_OF_EVENTS = ("outcomes", "emails", "judged_hits", "rare_events", "lead_emails", "last_events")


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def _told() -> list[Told]:
    """Emails of two campaigns, sent over 60 hours; some were opened, clicked in, answered or came back."""
    told = []
    for lead in range(60):
        email = (("spring", "autumn")[lead % 2], 1 + lead % 3, lead)
        at = BASE + timedelta(hours=lead, minutes=lead)
        then = {2: "open human", 3: "click human", 4: "reply", 5: "bounce hard", 6: "open bot"}.get(lead % 7)
        told.append(Told(*email, "sent", at, 0))
        told += [Told(*email, then, at + timedelta(hours=5), 0)] if then else []
    return told


def _by_hand(told: Sequence[Told], campaigns: tuple[str, ...]) -> dict[str, int]:
    did: dict[tuple[str, int, int], set[str]] = {}
    for one in told:
        did.setdefault((one.campaign, one.step, one.lead), set()).add(one.kind)
    delivered = {
        (lead, frozenset(kinds))
        for (campaign, _, lead), kinds in did.items()
        if "bounce hard" not in kinds and (not campaigns or campaign in campaigns)
    }
    return {  # of which leads the email has neither pixel nor links says Told.event
        "not_opened": sum(lead % 3 != 0 and not kinds & {"open human", "click human"} for lead, kinds in delivered),
        "not_clicked": sum(lead % 4 != 3 and "click human" not in kinds for lead, kinds in delivered),
        "not_replied": sum("reply" not in kinds for _, kinds in delivered),
    }


def _assert_without_right(client: Client, told: Sequence[Told]) -> None:
    for campaigns in ((), ("spring",)):
        rows = {
            row["outcome"]: row["emails"] for row in asked(client, "recipients_without", _SINCE, _UNTIL, *campaigns)
        }
        assert rows == _by_hand(told, campaigns), campaigns


def _parts(client: Client) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in client.query(
            "SELECT table, name FROM system.parts WHERE database = currentDatabase() AND active "
            "AND table IN {tables:Array(String)} ORDER BY ALL",
            parameters={"tables": list(_OF_EVENTS)},
        ).result_rows
    ]


def _fresh(client: Client, of: str) -> bool:
    asked = "SELECT max(written > counted) = 0 FROM slots FINAL WHERE of = {of:String}"
    return bool(client.query(asked, parameters={"of": of}).result_rows[0][0])


def test_counts_that_a_release_adds_are_right_at_once_and_no_event_is_read_again_for_them(
    emptied: Client, own_database: Settings
) -> None:
    empty(emptied)
    told = _told()
    insert_lines(emptied, "events", lines(events_of(told)))
    counting.roll(emptied)
    # As it was before 089: without these columns, and counted ahead.
    for table in ("email_counts", "emails"):
        for column in reversed(_WITHOUT):
            emptied.command(f"ALTER TABLE {table} DROP COLUMN {column} SETTINGS mutations_sync = 2")
    emptied.command("DELETE FROM migrations WHERE name = '089_without'")
    for table in _OF_EVENTS:  # what is one part stays it, unless something is written
        emptied.command(f"OPTIMIZE TABLE {table} FINAL")
    parts = _parts(emptied)
    assert _fresh(emptied, "email")
    assert migrate(own_database) == ["089_without"]
    assert not _fresh(emptied, "email")
    assert _fresh(emptied, "hit"), "those know all that they knew"
    assert emptied.query("SELECT count() FROM rebuilding").result_rows == [(0,)]
    _assert_without_right(emptied, told)
    assert counting.roll(emptied) > 0
    assert _fresh(emptied, "email")
    _assert_without_right(emptied, told)
    assert _parts(emptied) == parts


def test_where_a_migration_asks_for_a_rebuild_no_rollup_is_used_before_it_is_made_again(emptied: Client) -> None:
    empty(emptied)
    events: list[AnyEvent] = events_of(_told())
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    emptied.command("TRUNCATE TABLE email_counts")  # they know nothing of what is new
    emptied.insert("rebuilding", [[""]], column_names=["campaign"])

    class Killed(Exception):
        pass

    def die(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        rebuild(emptied, die)
    assert_all_right(emptied, events, _SINCE, _UNTIL)
    assert rebuild(emptied, lambda _: None) == 1
    assert_all_right(emptied, events, _SINCE, _UNTIL)
