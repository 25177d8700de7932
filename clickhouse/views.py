"""The views of `views/*.sql`, as ClickHouse keeps them: a view has no state, so each migration creates them again.

A view may read another one. What ClickHouse is given has the inner view's SELECT in place of its call (inlining.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from clickhouse.columns import ABOUT
from clickhouse.queries import VIEWS
from clickhouse.schema import quoted

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
