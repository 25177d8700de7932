"""Shows in the summary of a run what its tests have measured of the house: `make check` ends with it."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each `record_property("figure", "NAME: VALUE")`, whether its test passed or failed."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures of the house")
        for figure in sorted(figures):
            terminalreporter.write_line(str(figure))
