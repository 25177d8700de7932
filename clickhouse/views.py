"""The views that analysts ask, out of `queries/views.sql`: a view is no state, so it is made anew at every migration.

So a view always is what the fragments say today, and no number of it can differ from the boards'.
"""

from __future__ import annotations

from collections.abc import Iterator

from clickhouse.columns import ABOUT
from clickhouse.queries import PARAMETER, VIEWS, Query

# What asks for everything, for each parameter that a fragment takes.
_EVERYTHING = {
    "since": "toDateTime64('1971-01-01 00:00:00', 3, 'UTC')",
    "until": "toDateTime64('2100-01-01 00:00:00', 3, 'UTC')",
    "campaigns": "[]::Array(String)",
    "steps": "[]::Array(UInt8)",
    "senders": "[]::Array(String)",
    "timezone": "'UTC'",
}
# Views of migrations: what the queries' fragments stand on.
_ABOUT_VIEWS = {
    "v_outcomes": "Emails, a row each: when each thing first happened to it, NULL for never.",
    "v_sent": "Emails sent, a row each, found by the hour of sending.",
    **{name: view.about for name, view in VIEWS.items()},
}


def statements() -> Iterator[tuple[str, str]]:
    """What makes every view, in order: its name, and a statement."""
    for name, view in VIEWS.items():
        yield name, f"CREATE OR REPLACE VIEW {name} AS\n{select(view)}"
    for name, about in _ABOUT_VIEWS.items():
        comments = [f"COMMENT COLUMN IF EXISTS {column} {_quoted(text)}" for column, text in ABOUT.items()]
        yield name, f"ALTER TABLE {name}\n    " + ",\n    ".join([*comments, f"MODIFY COMMENT {_quoted(about)}"])


def select(view: Query) -> str:
    """The view's question. Raises KeyError when a fragment takes a parameter that has no everything."""
    return PARAMETER.sub(lambda found: _EVERYTHING[found["name"]], view.sql)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
