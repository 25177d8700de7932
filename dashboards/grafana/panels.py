"""A panel as Grafana's: its SQL, its kind of visualization, and what each column looks like.

Field options and overrides: https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/
"""

from __future__ import annotations

from typing import Any

from dashboards.boards import BOARDS
from dashboards.grafana import columns
from dashboards.grafana.source import DATASOURCE, target, translated_source
from dashboards.panels import Board, Color, Field, Panel, PanelKind, RowLink, Unit

# Kinds that are tables to Grafana; its own heatmap wants numbers over time.
TABLES = (PanelKind.TABLE, PanelKind.TIMELINE, PanelKind.CLICK_MAP, PanelKind.HEATMAP)
BARS = (PanelKind.BAR, PanelKind.HISTOGRAM)
_UNCOUNTED = (Unit.TEXT, Unit.TIME)
_CELL = 44  # pixels; Grafana's tables are 150 to a column unless told


def panel_model(panel: Panel, board: Board) -> dict[str, Any]:
    """The panel as Grafana's model has it."""
    kind, options = _options(panel)
    area = panel.area
    defaults: dict[str, Any] = {
        # A table's columns have each their own.
        "unit": Unit.TEXT.value if panel.kind in TABLES[:3] else columns.unit(panel.fields[0]),
        "noValue": panel.no_value,
        "color": {"mode": "continuous-blues" if panel.kind is PanelKind.HEATMAP else "thresholds"},
        "thresholds": _thresholds(panel.fields[0] if panel.kind is PanelKind.STAT else None),
        "mappings": [],
        "custom": _custom(panel),
    }
    if panel.kind not in TABLES and (digits := columns.decimals(panel.fields[0])) is not None:
        defaults["decimals"] = digits
    if panel.kind is PanelKind.HEATMAP:
        defaults["min"] = 0  # the palest is nothing, not the least that there happens to be
    if panel.link and panel.kind in BARS:
        defaults["links"] = [_link(panel.link, board)]
    return {
        "id": panel.id,
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": area.x, "y": area.y, "w": area.width, "h": area.height},
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel, board)},
        "options": options,
        "targets": [target("A", raw_sql(panel), over_time=_over_time(panel))],
        "transparent": False,
    }


def raw_sql(panel: Panel) -> str:
    """The panel's query as a Grafana target: only the columns it shows, named as it shows them."""
    shown = [f'    {columns.shown(field)} AS "{field.title}"' for field in _columns(panel)]
    order = ""
    if panel.link:
        shown.append(f"    {panel.link.column}")
    if panel.kind is PanelKind.STAT:
        order = "ORDER BY period"
        if moved := columns.change(panel):
            shown.append(f'    {moved} AS "{columns.CHANGE}"')
    elif _over_time(panel) and panel.label:
        order = f'ORDER BY "{panel.label.title}"'
    elif panel.kind is PanelKind.HEATMAP and panel.label and panel.across:
        across = "    " + ", ".join(f'"{value}"' for value in panel.across.values)
        shown = [f'    {panel.label.column} AS "{panel.label.title}"', across, *shown[len(panel.columns) :]]
        return "\n".join(["SELECT", ",\n".join(shown), f"FROM {translated_source(panel.across.lines)}"])
    return "\n".join(["SELECT", ",\n".join(shown), f"FROM {translated_source(panel.query)}", order]).rstrip()


def _columns(panel: Panel) -> tuple[Field, ...]:
    """Those that Grafana gets. Over time none of text: the plugin would draw a line for each text that it finds."""
    if not _over_time(panel):
        return panel.columns
    return tuple(field for field in panel.columns if field is panel.label or field.unit is not Unit.TEXT)


def _over_time(panel: Panel) -> bool:
    return panel.kind is PanelKind.TIME_SERIES


def _options(panel: Panel) -> tuple[str, dict[str, Any]]:
    """Grafana's name of the panel's kind, and its options."""
    tooltip = {"mode": "multi", "sort": "none"}
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    if panel.kind is PanelKind.STAT:
        return "stat", _card(panel)
    if _over_time(panel):
        return "timeseries", {"legend": legend, "tooltip": tooltip}
    if panel.kind in BARS:
        is_histogram = panel.kind is PanelKind.HISTOGRAM
        drawn = [field for field in panel.fields if field.unit is panel.fields[0].unit]
        return "barchart", {
            "orientation": "vertical" if is_histogram else "horizontal",
            "stacking": "normal" if panel.stacked else "none",
            "xField": panel.label.title if panel.label else "",
            "showValue": "never" if is_histogram else "auto",
            "barWidth": 0.97 if is_histogram else 0.8,
            "groupWidth": 0.8,
            "fullHighlight": False,
            "legend": legend | {"showLegend": len(drawn) > 1 or not is_histogram},
            "tooltip": tooltip,
        }
    return "table", {"showHeader": True, "cellHeight": "sm", "sortBy": []}


def _card(panel: Panel) -> dict[str, Any]:
    """The options of a number in large type, and of how it moved."""
    moves = bool(columns.change(panel))
    return {
        "reduceOptions": {
            # `last`, not `lastNotNull`: that would show the period before when nothing was sent in this one.
            "calcs": ["last"],
            # Unless told, Grafana shows fields of numbers alone.
            "fields": "/.*/" if moves or any(field.unit in _UNCOUNTED for field in panel.fields) else "",
            "values": False,
        },
        # Grafana's own compares the first row of a series with the last, and says 0 % or ∞ % where there is
        # nothing to compare: the query does it.
        "showPercentChange": False,
        "textMode": "value_and_name" if moves or len(panel.fields) > 1 else "value",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "vertical",
        "wideLayout": True,
    }


def _custom(panel: Panel) -> dict[str, Any]:
    if _over_time(panel):
        custom = {"drawStyle": "bars", "fillOpacity": 40, "lineWidth": 1, "axisSoftMin": 0, "showPoints": "never"}
        return custom | ({"stacking": {"mode": "normal", "group": "A"}} if panel.stacked else {})
    if panel.kind in BARS:
        return {"fillOpacity": 85, "lineWidth": 0, "axisSoftMin": 0}
    if panel.kind is PanelKind.HEATMAP:
        return {
            "align": "center",
            "filterable": False,
            "inspect": False,
            "minWidth": _CELL,
            "cellOptions": {"type": "color-background", "mode": "basic"},
        }
    if panel.kind in TABLES:
        return {"align": "auto", "filterable": False, "inspect": False}
    return {}


def _thresholds(field: Field | None) -> dict[str, Any]:
    """Grafana's steps: the first is what lies below all thresholds."""
    steps: list[dict[str, Any]] = [{"value": None, "color": (field.color if field else Color.BLUE).value}]
    if field:
        steps += [{"value": step.value, "color": step.color.value} for step in field.thresholds]
    return {"mode": "absolute", "steps": steps}


def _overrides(panel: Panel, board: Board) -> list[dict[str, Any]]:
    overrides: list[dict[str, Any]] = []
    if panel.kind in TABLES:
        # The panel's own text is for a table without rows; in a cell it would be said again and again.
        dash = [{"id": "noValue", "value": "–"}]
        overrides.append({"matcher": {"id": "byRegexp", "options": "/.*/"}, "properties": dash})
    shown = [panel.label] if panel.kind is PanelKind.HEATMAP and panel.label else _columns(panel)
    overrides += [
        {"matcher": {"id": "byName", "options": field.title}, "properties": properties}
        for field in shown
        if (properties := _properties(panel, field, board))
    ]
    if panel.link and panel.kind in TABLES:
        # Two names of one wish: Grafana 12 and later read the first, 11 the second.
        hidden = [{"id": "custom.hideFrom.viz", "value": True}, {"id": "custom.hidden", "value": True}]
        overrides.append({"matcher": {"id": "byName", "options": panel.link.column}, "properties": hidden})
    if panel.kind is PanelKind.STAT and columns.change(panel):
        overrides.append(columns.change_override(panel))
    return overrides


def _properties(panel: Panel, field: Field, board: Board) -> list[dict[str, Any]]:
    if panel.kind in TABLES:
        return _column(panel, field, board)
    if field is panel.label:
        return [{"id": "unit", "value": columns.unit(field)}] if field.unit is not Unit.TEXT else []
    properties: list[dict[str, Any]] = []
    if field.unit is not panel.fields[0].unit:
        properties.append({"id": "unit", "value": columns.unit(field)})
        if panel.kind in BARS:  # it would be the same bar again on an axis of its own: the tooltip tells it
            properties.append({"id": "custom.hideFrom", "value": {"viz": True, "legend": True, "tooltip": False}})
    if columns.decimals(field) != columns.decimals(panel.fields[0]):
        properties.append({"id": "decimals", "value": columns.decimals(field)})
    if panel.kind is PanelKind.STAT:
        properties.append({"id": "thresholds", "value": _thresholds(field)})
    else:
        properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": field.color.value}})
        if field.line and _over_time(panel):
            properties += [
                {"id": "custom.drawStyle", "value": "line"},
                {"id": "custom.lineWidth", "value": 2},
                {"id": "custom.fillOpacity", "value": 0},
            ]
    return properties


def _column(panel: Panel, field: Field, board: Board) -> list[dict[str, Any]]:
    """A table's: a heatmap's first, and each of the others'."""
    properties: list[dict[str, Any]] = [{"id": "unit", "value": columns.unit(field)}]
    if (digits := columns.decimals(field)) is not None:
        properties.append({"id": "decimals", "value": digits})
    about = " ".join(filter(None, (field.about, f"Across: {panel.across.title}." if panel.across else "")))
    if about:
        properties.append({"id": "description", "value": about})
    if field is panel.label and panel.link:
        properties.append({"id": "links", "value": [_link(panel.link, board)]})
    if panel.kind is PanelKind.HEATMAP:
        return [
            *properties,
            {"id": "custom.cellOptions", "value": {"type": "auto"}},
            {"id": "custom.align", "value": "left"},
            {"id": "custom.minWidth", "value": 3 * _CELL},
        ]
    room = "custom.minWidth" if columns.grows(field, panel) else "custom.width"
    properties.append({"id": room, "value": columns.width(field)})
    if field.words:
        properties.append({"id": "mappings", "value": columns.words(field)})
    if field.thresholds:
        properties.append({"id": "thresholds", "value": _thresholds(field)})
    if field.words or field.thresholds:
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return properties


def _link(link: RowLink, board: Board) -> dict[str, Any]:
    """To the same period and choices, with one more made. A value of the row is percent-encoded into the address."""
    to = next((other for other in BOARDS if other.key == link.board), None) if link.board else board
    theirs = to.variables if to else ()
    kept = [f"&${{{one.name}:queryparam}}" for one in board.variables if one in theirs and one != link.sets]
    url = (
        f"/d/{to.uid if to else f'sendlens-{link.board}'}?var-{link.sets.name}="
        f"${{__data.fields.{link.column}:percentencode}}"
        f"&${{__url_time_range}}&${{datasource:queryparam}}{''.join(kept)}"
    )
    label = link.sets.label.lower()
    title = f"This {label} alone" if to is board else f"{to.title if to else link.board}: this {label}"
    return {"title": title, "url": url}
