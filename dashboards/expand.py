"""What Grafana and its ClickHouse plugin do to a query before ClickHouse sees it, so that targets run without Grafana.

Variables are put in first (the dashboard in the browser), macros after (the plugin's back end).
Sources: grafana/scenes `formatRegistry.ts` and `MultiValueVariable.ts`; grafana/clickhouse-datasource `macros.go`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

# encodeURIComponent, with `!'()*` encoded as well: what is left needs no quoting anywhere.
_UNRESERVED = "-_.~"
_LEFT_OVER = re.compile(r"\$__\w+|\$\{?\w+[^}\s]*\}?|\[\[\w+")


@dataclass(frozen=True)
class Choice:
    """What a viewer has chosen. `campaigns` None is All; `timezone` as Grafana names it (`utc`, `Europe/Paris`)."""

    since: datetime
    until: datetime
    campaigns: Sequence[str] | None = None
    timezone: str = "utc"


def expand(raw_sql: str, choice: Choice, all_value: str) -> str:
    """The SQL that reaches ClickHouse. Raises ValueError when a variable or macro is left that nothing replaces."""
    campaigns = (
        all_value
        if choice.campaigns is None
        else "&".join(f"id={quote(campaign, safe=_UNRESERVED)}" for campaign in choice.campaigns)
    )
    sql = raw_sql.replace("${campaign:customqueryparam:id}", campaigns).replace("${__timezone}", choice.timezone)
    for macro, moment in (("fromTime", choice.since), ("toTime", choice.until)):
        sql = re.sub(rf"\$__{macro}\b", f"toDateTime({int(moment.timestamp())})", sql)
    if found := _LEFT_OVER.search(sql):
        raise ValueError(f"nothing replaces {found[0]}")
    return sql
