"""What a reader may set: the embedded server and the cluster's users.xml agree on it."""

from __future__ import annotations

from xml.etree import ElementTree

import httpx

from clickhouse.embedded.request import GUEST_SETTINGS, TRANSPORT
from tests.support.processes import ROOT

# Limits, of which users.xml has its own (or none, so that they cannot be set there at all).
LIMITS = {"max_memory_usage", "max_threads", "max_rows_to_read", "max_bytes_to_read"}
SHOWN = ("output_format_", "date_time_output_format", "format_")


def changeable() -> set[str]:
    tree = ElementTree.parse(ROOT / "clickhouse" / "config" / "users.xml")  # noqa: S314
    constraints = tree.find("profiles/reader/constraints")
    assert constraints is not None
    return {one.tag for one in constraints if one.find("changeable_in_readonly") is not None}


def test_a_reader_may_set_the_same_on_both_servers() -> None:
    there = {name for name in changeable() if not name.startswith(SHOWN)}
    assert there - TRANSPORT == GUEST_SETTINGS - LIMITS


def test_every_setting_that_a_reader_may_set_exists(http: httpx.Client) -> None:
    """A server does not start with an unknown setting in users.xml."""
    known = set(http.post("/", content="SELECT name FROM system.settings").text.split())
    assert changeable() | GUEST_SETTINGS <= known
