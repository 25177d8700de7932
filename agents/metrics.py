"""What the worker counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter

SENDER_OUTCOMES = Counter(
    "sendlens_sender_emails", "Send requests by what came of them.", ["outcome"]
)  # delivered, bounced, rejected, replayed, or skipped-<reason>
SENDER_DEFERRED = Counter("sendlens_sender_deferred", "Times a mail server said not now, or fell silent.")
SENDER_UNREACHABLE = Counter("sendlens_sender_unreachable", "Times something needed to send was away.", ["what"])
SENDER_UNANSWERED = Counter(
    "sendlens_sender_unanswered", "Emails sent whole without an answer; the next attempt may be a second copy."
)
