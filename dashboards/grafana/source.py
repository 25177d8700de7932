"""The ClickHouse datasource, and how the views of `clickhouse/views` are asked through it.

Written for version 4 of the plugin: https://grafana.com/docs/plugins/grafana-clickhouse-datasource/latest/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clickhouse.inlining import PARAMETER
from clickhouse.queries import Query
from dashboards import variables
from dashboards.variables import Variable

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"

# Boards ask whatever ClickHouse the viewer chose. Alert rules have no viewer: theirs is the one that we provision.
DATASOURCE = {"type": PLUGIN, "uid": "${datasource}"}
PROVISIONED = "sendlens-clickhouse"

# What "All" becomes in SQL (Grafana puts a custom all-value in as it is): it lacks the `id=` of what is chosen.
ALL = "all-of-them"

# Percent-encoded by Grafana and decoded by ClickHouse, so that neither a quote nor a backslash of a value can leave the
# SQL string (Grafana's own quoting formats leave backslashes alone). Several values are written as `id=VALUE&id=VALUE`.
# Grafana formats its own variables (`__timezone`, which comes from the URL) as it does a board's.
# https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
_TYPED = "decodeURLComponent('${NAME:percentencode}')"
# No lambda, for a view's argument may hold none: what stands before each value becomes a character that no name has.
_CHOSEN = (
    "extractAll(decodeURLComponent(replaceAll('&${NAME:customqueryparam:id}', '&id=', '%01')), '\\x01([^\\x01]*)')"
)


def _in_sql(variable: Variable) -> str:
    if variable.options is None:
        return _TYPED.replace("NAME", variable.name)
    chosen = _CHOSEN.replace("NAME", variable.name)
    return f"CAST({chosen} AS Array(UInt8))" if variable.is_number else chosen


_TIMEZONE = _TYPED.replace("NAME", "__timezone")

# Put in by the plugin's back end, so they are there for alert rules too.
PERIOD = {
    "since": "toDateTime64($__fromTime, 3, 'UTC')",
    "until": "toDateTime64($__toTime, 3, 'UTC')",
}
_MACROS = PERIOD | {
    # Grafana's own name for UTC is in lower case; an empty one is its default.
    "timezone": f"if({_TIMEZONE} IN ('utc', ''), 'UTC', {_TIMEZONE})",
    **{variable.parameter: _in_sql(variable) for variable in variables.ALL},
}


def can_ask(query: Query) -> bool:
    """Whether Grafana has something for each parameter of the query; those of stages it has nothing for."""
    return set(query.parameters) <= set(_MACROS)


def translate(sql: str) -> str:
    """The query with its parameters in Grafana's terms. Raises KeyError on a parameter Grafana has nothing for."""
    return PARAMETER.sub(lambda found: _MACROS[found["name"]], sql)


def translated_source(query: Query) -> str:
    """What a panel selects from, in Grafana's terms. Raises KeyError on a parameter Grafana has nothing for."""
    return translate(query.source)


def target(
    ref_id: str, raw_sql: str, *, source: Mapping[str, str] = DATASOURCE, over_time: bool = False
) -> dict[str, Any]:
    """A query as the plugin's editor would save it. `over_time` wants a first column of time, in order."""
    return {
        "refId": ref_id,
        "datasource": dict(source),
        "editorType": "sql",
        "pluginVersion": PLUGIN_VERSION,
        "queryType": "timeseries" if over_time else "table",
        "format": 0 if over_time else 1,
        "rawSql": raw_sql,
        "meta": {},
    }
