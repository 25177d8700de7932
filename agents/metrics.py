"""What the workers count, for Prometheus: `/metrics` on SENDLENS_WORKER_METRICS_PORT."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

HANDLED = Counter("sendlens_records_handled", "Records that a stage took, handled and acknowledged.", ["stage"])
LAG = Gauge("sendlens_stage_lag_records", "Records of a stage's topics that no worker has acknowledged yet.", ["stage"])
OWN_LAG = Gauge("sendlens_own_lag_records", "Of these, the ones in this worker's own partitions.", ["stage"])
HELD = Gauge("sendlens_records_held", "Records that a stage holds unacknowledged, waiting their turn.", ["stage"])
RETRIES = Counter("sendlens_stage_retries", "Times a stage waited for something it needs to come back.", ["stage"])
DEAD_LETTERS = Counter("sendlens_dead_letters", "Records set aside in the topic dead.", ["stage", "reason"])
VERDICTS = Counter("sendlens_verdicts", "Hits judged.", ["kind", "verdict", "reason"])
RELAY_REFRESHES = Counter(
    "sendlens_relay_list_refreshes",
    "Times Apple's relay list was asked for: new, unchanged, refused or failed.",
    ["result"],
)
RELAY_PREFIXES = Gauge("sendlens_relay_list_prefixes", "Prefixes of the relay list in use; 0 for the packaged one.")
ROWS = Counter("sendlens_rows_stored", "Rows inserted into ClickHouse.", ["table"])

WEBHOOK_CALLS = Counter(
    "sendlens_webhook_calls",
    "Payloads for endpoints: taken, failed (tried again), given-up, dropped.",
    ["result"],
)

SENDER_OUTCOMES = Counter(
    "sendlens_sender_emails", "Send requests by what came of them.", ["outcome"]
)  # delivered, bounced, rejected, replayed, skipped-<reason>, or the state it waits in
SENDER_WAITING = Gauge("sendlens_sender_waiting", "Emails that wait, of all workers, by what for.", ["state"])
SENDER_DEFERRED = Counter("sendlens_sender_deferred", "Times a mail server said not now, or fell silent.")
SENDER_UNREACHABLE = Counter("sendlens_sender_unreachable", "Times something needed to send was away.", ["what"])
SENDER_UNANSWERED = Counter(
    "sendlens_sender_unanswered", "Emails of which nobody knows whether they went out; an operator decides."
)

GUARD_FACTS = Counter(
    "sendlens_guard_facts", "Facts that became known, for which a lead or an address gets no mail.", ["fact", "of"]
)
GUARD_PAUSES = Counter("sendlens_guard_pauses", "Campaigns paused for their bounces.")
GUARD_UNKNOWN_ADDRESSES = Counter(
    "sendlens_guard_unknown_addresses", "Emails whose address nobody knows, so that a fact holds for the lead alone."
)
ANNOUNCEMENTS = Counter(
    "sendlens_announcements", "Annotations and emails about pauses: said, retried, failed for good.", ["to", "result"]
)

READER_MAILS = Counter(
    "sendlens_reader_mails",
    "Mails that came back, by what they are and how their email was known.",
    ["kind", "matched_by"],
)
