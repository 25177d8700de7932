"""A report as HTML that mail clients show: tables, styles at each element, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote, urlencode

from dashboards.boards.overview import OVERVIEW
from dashboards.panels import Color, Field
from dashboards.report.number_words import count
from dashboards.report.report_charts import WIDTH, Chart
from dashboards.report.report_numbers import Card, Report, Row, cell

MOST_ROWS = 20  # of a table; mail clients cut off an email of more than 100 kB
_SHOWN = {
    "campaigns": ("sent", "reply_rate", "open_rate", "click_rate", "hard_bounce_rate"),
    "senders": ("health", "sent", "hard_bounce_rate", "block_rate"),
}
_SHORT = {"reply_rate": "Replied", "open_rate": "Opened", "click_rate": "Clicked", "hard_bounce_rate": "Hard"}
_FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_INK, _FAINT, _EDGE, _BEHIND, _LINK = "#24292f", "#59636e", "#d9dee3", "#f3f5f7", "#0b57d0"
_TONES = {"good": "#00704f", "bad": "#b04a00", "": _FAINT}
_ALARM = {Color.ORANGE: "#8a5a00", Color.VERMILLION: "#b3261e", Color.GREEN: "#00704f"}  # readable on white
_NARROW = (
    "@media (max-width:480px){.pad{padding-left:14px!important;padding-right:14px!important}"
    ".value{font-size:20px!important}.beside{font-size:12px!important}"
    ".cell{font-size:12px!important;padding:6px 3px!important}}"
)


def page_link(public_url: str, report: Report, **more: str) -> str:
    """The address of a board on our page, of the report's period."""
    period = report.period
    asked = {"since": period.since.isoformat(), "until": period.until.isoformat(), "timezone": period.timezone}
    return f"{public_url}/?{urlencode(more | asked, quote_via=quote)}"


def html(report: Report, charts: dict[str, Chart], public_url: str) -> str:
    """The whole document. `charts` are shown by their names as Content-IDs."""
    period = report.period
    link = page_link(public_url, report)
    body = [
        _row(
            f'<div style="font-size:13px;color:{_FAINT}">Sendlens, {period.rhythm} report</div>'
            f'<div style="font-size:21px;font-weight:600;line-height:28px">{escape(period.title)}</div>'
            f'<div style="font-size:13px;color:{_FAINT};line-height:20px">Emails sent {period.when} '
            f"({escape(period.timezone)}), changes against the {period.unit} before. "
            f'<a href="{escape(link)}" style="color:{_LINK}">Open it on the page</a></div>'
        ),
        _row(_cards(report.cards)),
    ]
    body += [
        _row(_heading(title, about) + _picture(name, charts[name]))
        for name, title, about in (
            ("activity", "Activity", "each at the time it happened, whenever the email was sent"),
            ("funnel", "Funnel", "by people; the thin bars are raw"),
        )
        if name in charts
    ]
    for name, title in (("campaigns", "Campaigns"), ("senders", "Senders")):
        rows: Sequence[Row] = getattr(report, name)
        if rows:
            body.append(_row(_heading(title) + _table(name, rows, report, public_url)))
    body.append(
        _row(
            f'<div style="font-size:12px;line-height:18px;color:{_FAINT}">People alone are counted; raw counts robots '
            f"and privacy proxies too. pp: percentage points. What happens later to these emails is counted with them, "
            f'so the <a href="{escape(link)}" style="color:{_LINK}">page</a> may show more by now.</div>'
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light"><meta name="supported-color-schemes" content="light">'
        f"<title>Sendlens: {escape(period.title)}</title><style>{_NARROW}</style></head>"
        f'<body style="margin:0;padding:0;background:{_BEHIND};color:{_INK};{_FONT}">'
        f'<table role="presentation" width="100%" cellpadding="0" cellspacing="0" bgcolor="{_BEHIND}"><tr>'
        '<td align="center" style="padding:16px 0">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" bgcolor="#ffffff" '
        f'style="max-width:600px;background:#ffffff;color:{_INK};{_FONT}">{"".join(body)}</table>'
        "</td></tr></table></body></html>\n"
    )


def _row(inner: str) -> str:
    return f'<tr><td class="pad" style="padding:14px 20px">{inner}</td></tr>\n'


def _heading(title: str, about: str = "") -> str:
    more = f' <span style="font-size:12px;font-weight:400;color:{_FAINT}">{about}</span>' if about else ""
    return f'<div style="font-size:15px;font-weight:600;padding-bottom:6px">{title}{more}</div>'


def _cards(cards: Sequence[Card]) -> str:
    """Two in a row, on every screen."""
    pairs = [cards[at : at + 2] for at in range(0, len(cards), 2)]
    rows = "".join(f"<tr>{''.join(_card(card, 3 - len(pair)) for card in pair)}</tr>" for pair in pairs)
    return (
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" '
        f'style="border-collapse:collapse;table-layout:fixed">{rows}</table>'
    )


def _card(card: Card, columns: int) -> str:
    color = _ALARM.get(card.color, _INK) if card.color else _INK
    warning = f' <span style="font-size:12px;color:{color}">{card.warning}</span>' if card.warning else ""
    beside = (
        f'<span class="beside" style="font-size:13px;white-space:nowrap;color:{_FAINT}"> {escape(card.beside)}</span>'
        if card.beside
        else ""
    )
    moved = (
        f'<span style="color:{_TONES[card.tone]};white-space:nowrap">{escape(card.moved)}</span>' if card.moved else ""
    )
    between = " &middot; " if moved and card.counts else ""
    return (
        f'<td valign="top" colspan="{columns}" style="border:1px solid {_EDGE};padding:9px 11px;{_FONT}">'
        f'<div style="font-size:13px;color:{_FAINT}">{escape(card.title)}</div>'
        f'<div style="line-height:30px"><span class="value" style="font-size:24px;font-weight:600;color:{color}">'
        f"{escape(card.value)}</span>{warning}{beside}</div>"
        f'<div style="font-size:12px;line-height:17px;color:{_FAINT}">{escape(card.counts)}{between}{moved}</div></td>'
    )


def _picture(name: str, chart: Chart) -> str:
    return (
        f'<img src="cid:{name}" width="{WIDTH}" alt="{escape(chart.alt)}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto;border:0;font-size:13px;color:{_FAINT}">'
    )


def shown(name: str) -> tuple[Field, list[Field]]:
    """The label and the columns of the panel that a report shows."""
    panel = next(panel for panel in OVERVIEW.panels if panel.key == name)
    if panel.label is None:
        raise AssertionError(f"{name} is no table")
    columns = {field.column: field for field in panel.fields}
    return panel.label, [columns[column] for column in _SHOWN[name]]


def _table(name: str, rows: Sequence[Row], report: Report, public_url: str) -> str:
    label, fields = shown(name)
    head = _cell("th", escape(label.title), "left", faint=True) + "".join(
        _cell("th", _SHORT.get(field.column, field.title), "right", faint=True) for field in fields
    )
    body = []
    for row in rows[:MOST_ROWS]:
        numbers = "".join(_cell("td", _number(row, field), "right") for field in fields)
        body.append(f"<tr>{_cell('td', _label(name, row, label, report, public_url), 'left')}{numbers}</tr>")
    rest = len(rows) - MOST_ROWS
    if rest > 0:
        body.append(f'<tr><td class="cell" colspan="{len(fields) + 1}" style="padding:7px 5px;font-size:12px">')
        body.append(f"{count(rest)} more on the page</td></tr>")
    return (
        '<table width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse">'
        f"<tr>{head}</tr>{''.join(body)}</table>"
    )


def _label(name: str, row: Row, label: Field, report: Report, public_url: str) -> str:
    text = escape(str(row[label.column]))
    if name != "campaigns":
        return text
    address = page_link(public_url, report, board="campaign", campaign=str(row["campaign_id"]))
    link = f'<a href="{escape(address)}" style="color:{_LINK}">{text}</a>'
    return link if row["state"] != "Paused" else f'{link} <b style="color:{_ALARM[Color.VERMILLION]}">Paused</b>'


def _number(row: Row, field: Field) -> str:
    value = row.get(field.column)
    reached = [step.color for step in field.thresholds if value is not None and value >= step.value]
    text = escape(cell(row, field))
    return f'<span style="color:{_ALARM[reached[-1]]}">{text}</span>' if reached and reached[-1] in _ALARM else text


def _cell(tag: str, inner: str, align: str, *, faint: bool = False) -> str:
    look = f"color:{_FAINT};font-weight:400" if faint else f"color:{_INK}"
    wrap = "word-break:break-word" if align == "left" else "white-space:normal"
    return (
        f'<{tag} class="cell" align="{align}" valign="top" style="border-bottom:1px solid {_EDGE};padding:7px 5px;'
        f'font-size:13px;{wrap};{look};{_FONT}">{inner}</{tag}>'
    )
