"""What of Grafana's is checked in: the boards in `dashboards/dist`, the alert rules in `dashboards/provisioning`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards.boards import BOARDS
from dashboards.grafana.alerts import provisioned
from dashboards.grafana.model import dashboard

DIST = Path(__file__).parents[1] / "dist"
PROVISIONING = Path(__file__).parents[1] / "provisioning"
ALERTING = PROVISIONING / "alerting"


def render() -> dict[Path, str]:
    """The files, path to text. The same boards and rules always give the same text."""
    boards = {DIST / f"{board.key}.json": _text(dashboard(board)) for board in BOARDS}
    return boards | {ALERTING / "sendlens.json": _text(provisioned())}


def stale() -> list[Path]:
    """Files that are missing, or are not what `render` makes now."""
    wanted = render()
    there = {path: path.read_text() for folder in (DIST, ALERTING) for path in folder.glob("*.json")}
    return sorted(path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))


def _text(model: dict[str, Any]) -> str:
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"
