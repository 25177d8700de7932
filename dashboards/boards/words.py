"""The words that columns of states and verdicts hold, with their colours: red is for somebody to mend."""

from __future__ import annotations

from dashboards.panels import Color, Word

CAMPAIGN_STATES = (Word("Active", Color.GREEN), Word("Paused", Color.VERMILLION), Word("Resumed", Color.GREEN))
PROCESS_STATES = (Word("Running", Color.GREEN), Word("Silent", Color.VERMILLION))
BROKERS = (Word("In memory: for trying", Color.VERMILLION), Word("Kafka", Color.GREEN))
VERDICTS = (Word("human", Color.BLUE), Word("machine", Color.PURPLE), Word("bot", Color.VERMILLION))
BOUNCE_CLASSES = (Word("hard", Color.VERMILLION), Word("soft", Color.ORANGE), Word("block", Color.PURPLE))
LEAD_STATES = (
    Word("Gets email", Color.GREEN),
    Word("Nothing sent yet", Color.GREY),
    Word("Unsubscribed", Color.ORANGE),
    Word("Paused", Color.BLUE),
    Word("Complained", Color.VERMILLION),
    Word("Address is dead", Color.VERMILLION),
    Word("Erased", Color.GREY),
)
WAITS = (
    Word("unanswered", Color.VERMILLION),
    Word("away", Color.ORANGE),
    Word("deferred", Color.ORANGE),
    Word("over-limit", Color.BLUE),
    Word("again", Color.BLUE),
)
FINDINGS = (
    Word("/.* is better than .*/", Color.GREEN),
    Word("/No difference seen.*/", Color.BLUE),
    Word("Baseline", Color.GREY),
    Word("/.*Not enough data.*/", Color.GREY),
    Word("/Not tracked.*/", Color.GREY),
)
