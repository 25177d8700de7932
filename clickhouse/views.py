"""The views of `views/*.sql`, as ClickHouse keeps them: a view has no state, so `sendlens migrate` creates all of them
again whenever one is not as this release makes it.

A view may read another one. What ClickHouse is given has the inner view's SELECT in place of its call (inlining.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from clickhouse_connect.driver.client import Client

from clickhouse.columns import ABOUT
from clickhouse.queries import VIEWS
from clickhouse.schema import quoted

# Everything that a view came to be: its text as the server keeps it, without the database's name, which a restore may
# change; the columns of the tables, from which the server took the types of its own; and the server that read it.
# Without the locks of schema/lock.py, which come and go.
_STATE = """
WITH (
    SELECT arraySort(groupArray((name, replaceAll(create_table_query, concat(currentDatabase(), '.'), ''))))
    FROM system.tables WHERE database = currentDatabase() AND engine = 'View'
) AS views, (
    SELECT arraySort(groupArray((table, name, type, default_kind)))
    FROM system.columns
    WHERE database = currentDatabase() AND NOT match(table, '^(migrating|reporting)(_|$)')
        AND table NOT IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View')
) AS columns
SELECT hex(SHA256(toString((version(), views, columns))))
"""

# Views of the schema: what the others stand on.
_ABOUT_VIEWS = {
    "v_outcomes": "Emails, a row each: when each thing first happened to it, NULL for never.",
    "v_sent": "Emails sent, a row each, found by the hour of sending.",
}


def statements() -> Iterator[tuple[str, str]]:
    """What makes every view, in order: its name, and a statement."""
    for name, view in VIEWS.items():
        yield name, f"CREATE OR REPLACE VIEW {name} COMMENT {quoted(view.about)} AS\n{view.expanded}"
    for name, about in _ABOUT_VIEWS.items():
        yield name, f"ALTER TABLE {name}\n    MODIFY COMMENT {quoted(about)}"
    comments = [f"COMMENT COLUMN IF EXISTS {column} {quoted(text)}" for column, text in ABOUT.items()]
    for name in (*_ABOUT_VIEWS, *(name for name, view in VIEWS.items() if not view.parameters)):
        yield name, f"ALTER TABLE {name}\n    " + ",\n    ".join(comments)


def fingerprint(client: Client, statements: Iterable[str]) -> str:
    """The hash of these statements, which make every view, and of all views and tables as they are in the database now.

    Equal to the one after the views were last made: they are as the statements would make them.
    """
    hashed = hashlib.sha256(str(client.query(_STATE).result_rows[0][0]).encode())
    for statement in statements:
        hashed.update(b"\0" + statement.encode())
    return hashed.hexdigest()
