"""What somebody writes who wants a value to be read as SQL, as a variable of Grafana's, or as a line's end."""

from __future__ import annotations

from dashboards import grafana

CANARY = "canary-4c1d2a"  # a word that nobody may read: what an injected SELECT would show
LEAK = "UTC'||substring((SELECT word FROM canary),1,20)||'"
WORDS = (
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "' OR 1=1 --",
    "x') OR 1=1 --",
    "') /*",
    "*/ OR 1 -- ",
    "'; DROP TABLE events; --",
    "# ",
    "${campaign}",
    "${__timezone}",
    "$__fromTime",
    "$__conditionalAll(1=1, $lead)",
    "[[campaign]]",
    "{campaigns:Array(String)}",
    "%27 OR 1=1",
    "%",
    "a&id=b",
    "id=",
    grafana.ALL,
    "$__all",
    "nul\0byte",
    "line\r\nend",
    "\ttab",
    "’ OR ’1’=’1",
    "ʼ＇′",
    "\u2028",
    "\u202e",
    "😀",
    LEAK,
)
