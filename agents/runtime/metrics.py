"""What the workers count, for Prometheus: `/metrics` on SENDLENS_WORKER_METRICS_PORT. docs/metrics.md lists it.

A counter whose labels' values are known here is there from 0 on (`begin`), so that a rule sees the first increase too.
The reasons of verdicts and of mails that make nothing known come from data, and are there once they were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from prometheus_client import REGISTRY, Counter, Gauge

from agents.pipeline import STORE, Stage
from clickhouse.samples import from_zero
from decisions.mail.verdict import MailKind, MatchedBy
from decisions.sending.gate import SkipReason
from oauth2.renewal_metrics import register
from schemas.events import Fact, FactOwner
from schemas.state.attempts import WaitState

register(REGISTRY)
HANDLED = Counter("sendlens_records_handled", "Records that a stage took, handled and acknowledged.", ["stage"])
LAG = Gauge("sendlens_stage_lag_records", "Records of a stage's topics that no worker has acknowledged yet.", ["stage"])
OWN_LAG = Gauge("sendlens_own_lag_records", "Of these, the ones in this worker's own partitions.", ["stage"])
IN_FLIGHT = Gauge("sendlens_records_held", "Records that a stage holds unacknowledged, waiting their turn.", ["stage"])
RETRIES = Counter("sendlens_stage_retries", "Times a stage waited for something it needs to come back.", ["stage"])
DEAD_LETTERS = Counter("sendlens_dead_letters", "Records set aside in the topic dead.", ["stage", "reason"])
PASSED_OVER = Counter(
    "sendlens_records_passed_over",
    "Times records were fetched and then neither acknowledged nor in flight, and were asked for again.",
)
VERDICTS = Counter("sendlens_verdicts", "Hits judged.", ["kind", "verdict", "reason"])
RELAY_REFRESHES = Counter(
    "sendlens_relay_list_refreshes",
    "Times Apple's relay list was asked for: new, unchanged, refused or failed.",
    ["result"],
)
RELAY_PREFIXES = Gauge("sendlens_relay_list_prefixes", "Prefixes of the relay list in use; 0 for the packaged one.")
COUNTRY_FILES = Counter(
    "sendlens_country_files",
    "Changed country files that were read: new or refused; and look-ups in one that is damaged.",
    ["result"],
)
ROWS = Counter("sendlens_rows_stored", "Rows inserted into ClickHouse.", ["table"])

WEBHOOK_ENDPOINTS = Gauge(
    "sendlens_webhook_endpoints", "Endpoints of webhooks by state; a disabled one is told of nothing.", ["state"]
)
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
    "sendlens_sender_unanswered", "Emails whose outcome is unknown: the send was cut off. An operator decides."
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
READER_IGNORED = Counter("sendlens_reader_ignored", "Mails that came back and make nothing known, by why.", ["reason"])

# Why each stage sets records aside, beside what any may. tests/agents/test_metrics.py compares it with the code.
_OF_ANY_STAGE = ("error", "too-large")
DEAD_REASONS: Mapping[str, tuple[str, ...]] = {
    "sender": (
        *("unreadable", "unknown-campaign", "no-account", "unexpected", "no-content", "html-missing", "too-many-links"),
        *("bad-id", "id-too-long", "step-out-of-range", "not-unicode", "control-character", "address-invalid"),
        "domain-invalid",
        *("header-invalid", "header-forbidden", "header-too-long"),
    ),
    "judge": ("unreadable",),
    "reader": ("unreadable", "unknown-email"),
    "guard": ("unreadable",),
    "store": ("unreadable", "rows-refused"),
    "webhooks": ("unreadable",),
}
_STATES = tuple(state for state in get_args(WaitState) if state != "settled")
_SENDER_OUTCOMES = ("delivered", "told-again", "bounced", "rejected", "replayed", *_STATES)


def begin(stages: Sequence[Stage]) -> None:
    """Have every counter at 0: those by stage of these stages, the others of all."""
    for stage in stages:
        from_zero(HANDLED, [stage.name])
        from_zero(RETRIES, [stage.name])
        from_zero(DEAD_LETTERS, [stage.name], (*DEAD_REASONS.get(stage.name, ()), *_OF_ANY_STAGE))
    from_zero(RELAY_REFRESHES, ("new", "unchanged", "refused", "failed"))
    from_zero(COUNTRY_FILES, ("new", "refused", "damaged"))
    from_zero(ROWS, [topic.name for topic in STORE.takes])
    from_zero(WEBHOOK_CALLS, ("taken", "failed", "given-up", "dropped"))
    from_zero(WEBHOOK_ENDPOINTS, ("enabled", "disabled"))
    from_zero(SENDER_OUTCOMES, (*_SENDER_OUTCOMES, *(f"skipped-{reason}" for reason in get_args(SkipReason))))
    from_zero(SENDER_UNREACHABLE, ("attempts", "store", "state", "links"))
    from_zero(SENDER_WAITING, _STATES)
    from_zero(GUARD_FACTS, get_args(Fact), get_args(FactOwner))
    from_zero(ANNOUNCEMENTS, ("grafana", "email"), ("said", "retried", "failed"))
    from_zero(READER_MAILS, get_args(MailKind), (*get_args(MatchedBy), "address", "nothing"))
    from_zero(READER_MAILS, ("unsubscribe",), ("subject",))
    from_zero(READER_IGNORED, ("dmarc-fail", "unknown-sender", "no-token", "auth-failure", "dmarc"))
