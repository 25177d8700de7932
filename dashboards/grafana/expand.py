"""What Grafana and its ClickHouse plugin do to a query before ClickHouse sees it, so that targets run without Grafana.

Variables are put in first (the dashboard in the browser), macros after (the plugin's back end).
Sources: grafana/scenes `formatRegistry.ts` and `MultiValueVariable.ts`; grafana/clickhouse-datasource `macros.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

# encodeURIComponent, with `!'()*` encoded as well: what is left needs no quoting anywhere.
_UNRESERVED = "-_.~"
_FORMATTED = re.compile(r"\$\{(?P<name>\w+):(?P<format>percentencode|customqueryparam:id)\}")
_LEFT_OVER = re.compile(r"\$__\w+|\$\{?\w+[^}\s]*\}?|\[\[\w+")


@dataclass(frozen=True)
class Choice:
    """What a viewer has chosen: variable name to the values, None for All; what is typed is one value, or nothing.

    `timezone` is as Grafana names it (`utc`, `Europe/Paris`).
    """

    since: datetime
    until: datetime
    chosen: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    timezone: str = "utc"


def expand(raw_sql: str, choice: Choice, all_value: str) -> str:
    """The SQL that reaches ClickHouse. Raises ValueError when a variable or macro is left that nothing replaces."""

    def encoded(variable: re.Match[str]) -> str:
        values = [choice.timezone] if variable["name"] == "__timezone" else choice.chosen.get(variable["name"])
        if variable["format"] == "percentencode":
            return quote("".join(values or ()), safe=_UNRESERVED)
        if values is None:
            return all_value
        return "&".join(f"id={quote(value, safe=_UNRESERVED)}" for value in values)

    sql = _FORMATTED.sub(encoded, raw_sql)
    for macro, moment in (("fromTime", choice.since), ("toTime", choice.until)):
        sql = re.sub(rf"\$__{macro}\b", f"toDateTime({int(moment.timestamp())})", sql)
    if found := _LEFT_OVER.search(sql):
        raise ValueError(f"nothing replaces {found[0]}")
    return sql
