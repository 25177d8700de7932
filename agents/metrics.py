"""What the workers count; `/metrics` on SENDLENS_WORKER_METRICS_PORT."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

HANDLED = Counter("sendlens_records_handled_total", "Records that a stage took, handled and acknowledged", ["stage"])
HELD = Gauge("sendlens_records_held", "Records that a stage holds unacknowledged, waiting their turn", ["stage"])
RETRIES = Counter("sendlens_stage_retries_total", "Times a stage waited for something it needs to come back", ["stage"])
DEAD_LETTERS = Counter("sendlens_dead_letters_total", "Records set aside in the topic dead", ["stage", "reason"])
VERDICTS = Counter("sendlens_verdicts_total", "Hits judged", ["kind", "verdict", "reason"])
ROWS = Counter("sendlens_rows_stored_total", "Rows inserted into ClickHouse", ["table"])
EMAILS = Counter("sendlens_emails_total", "What became of the emails asked for", ["result", "reason"])
