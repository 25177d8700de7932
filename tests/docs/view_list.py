"""The list of views in docs/sql.md: a line each, which is the first sentence of the view's comment.

    python -m tests.docs.view_list

writes it again, after a view was added or its comment changed.
"""

from __future__ import annotations

import re

from clickhouse.queries import VIEWS, VIEWS_FOLDER
from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "sql.md"
# The files of views in the order in which one meets their boards, and what their views are of.
_SUBJECTS = {
    "emails": "Overview",
    "recipients": "Recipients",
    "campaign": "Campaign",
    "click_map": "Click map",
    "send_hours": "When to send",
    "ab": "A/B",
    "deliverability": "Deliverability",
    "unsubscribes": "Unsubscribes",
    "senders": "Senders",
    "health": "Health of senders",
    "robots": "Robots",
    "clients": "Mail clients and devices",
    "timeline": "A lead",
    "daily": "Day by day",
    "pipeline": "Pipeline",
    "campaigns": "What there is to choose from",
    "alerts": "Alerts",
    "export": "Exports",
    "base": "Base views",
}
_LISTED = re.compile(r"(?<=<!-- views -->\n).*(?=\n<!-- /views -->)", re.DOTALL)


def listed(text: str) -> str:
    """What stands in the document between the two marks."""
    (found,) = _LISTED.findall(text)
    return str(found)


def view_list() -> str:
    """What is to stand there."""
    parts = []
    for file, subject in _subjects():
        rows = [
            f"| `{name}` | {', '.join(sorted(VIEWS[name].parameters, key=_place))} | {_first(VIEWS[name].about)} |"
            for name in _views_of(file)
        ]
        parts.append("\n".join([f"**{subject}**\n", "| view | takes | says |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _subjects() -> list[tuple[str, str]]:
    files = [path.stem for path in sorted(VIEWS_FOLDER.glob("*.sql")) if _views_of(path.stem)]
    order = list(_SUBJECTS)
    files.sort(key=lambda file: order.index(file) if file in order else len(order))
    return [(file, _SUBJECTS.get(file, file.capitalize())) for file in files]


def _views_of(file: str) -> list[str]:
    names = re.findall(r"^-- view: (\w+)$", (VIEWS_FOLDER / f"{file}.sql").read_text(), re.MULTILINE)
    return [name for name in names if not name.startswith("v_")]


def _place(parameter: str) -> int:
    order = ("since", "until", "campaigns", "steps", "senders", "timezone")
    return order.index(parameter) if parameter in order else len(order)


def _first(about: str) -> str:
    """The first sentence, on one line of a table."""
    return re.split(r"(?<=[.:]) (?=[A-Z`])", about, maxsplit=1)[0].replace("|", r"\|")


if __name__ == "__main__":
    DOCUMENT.write_text(_LISTED.sub(lambda _: view_list(), DOCUMENT.read_text()))
