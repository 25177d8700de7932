"""A report as an email: text, and HTML with its charts inside (RFC 2387)."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import UUID, uuid5

from dashboards.report.report_charts import Chart, activity, funnel
from dashboards.report.report_html import MOST_ROWS, html, page_link, shown
from dashboards.report.report_numbers import Report, cell
from dashboards.report.report_period import ReportPeriod
from schemas.settings import Settings

_REPORTS = UUID("6f1f6a5e-0a0f-5c58-9d4c-0d6f6c1d9a51")  # the namespace of reports' ids


def report_id(period: ReportPeriod, to: str) -> UUID:
    """The same for the same period and recipient: by it a report is known to have been sent."""
    return uuid5(_REPORTS, "\x1f".join((period.rhythm, period.first.isoformat(), period.timezone, to.lower())))


def written(report: Report, settings: Settings, sender: str, to: str, now: datetime) -> EmailMessage:
    """The email to one recipient."""
    charts = _charts(report)
    mail = EmailMessage()
    mail["From"] = f"Sendlens <{sender}>"
    mail["To"] = to
    mail["Subject"] = f"{report.period.title}: {report.headline}"
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{report_id(report.period, to)}@{settings.envelope_domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text(report, charts, settings.public_url), cte="quoted-printable")
    mail.add_alternative(html(report, charts, settings.public_url), subtype="html", cte="quoted-printable")
    page = mail.get_payload(1)
    if not isinstance(page, EmailMessage):
        raise AssertionError("the second part is the HTML that was added")
    for name, chart in charts.items():
        page.add_related(chart.png, "image", "png", cid=f"<{name}>", disposition="inline", filename=f"{name}.png")
    return mail


def _charts(report: Report) -> dict[str, Chart]:
    drawn = {"activity": activity(report.activity, report.period.timezone), "funnel": funnel(report.funnel)}
    return {name: chart for name, chart in drawn.items() if chart is not None}


def text(report: Report, charts: dict[str, Chart], public_url: str) -> str:
    """All that the HTML says, for those who read text."""
    unit = report.period.unit
    lines = [f"Sendlens, {report.period.rhythm} report: {report.period.title} ({report.period.timezone})", ""]
    lines += [f"Emails sent {report.period.when}, changes against the {unit} before.", ""]
    for card in report.cards:
        said = [card.value, card.beside, card.warning, card.counts, card.moved]
        lines.append(f"{card.title}: {'; '.join(filter(None, said))}")
    lines += ["", *(chart.alt for chart in charts.values())]
    for name in ("campaigns", "senders"):
        rows = getattr(report, name)
        if rows:
            label, fields = shown(name)
            lines += ["", f"{name.capitalize()}:"]
            for row in rows[:MOST_ROWS]:
                state = " (paused)" if row.get("state") == "Paused" else ""
                numbers = ", ".join(f"{field.title.lower()} {cell(row, field)}" for field in fields)
                lines.append(f"  {row[label.column]}{state}: {numbers}")
            if len(rows) > MOST_ROWS:
                lines.append(f"  {len(rows) - MOST_ROWS} more on the page")
    lines += ["", page_link(public_url, report), ""]
    return "\n".join(lines)
