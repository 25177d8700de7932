"""axe-core in a tab: what keeps people who see, hear or move little from using a page (https://github.com/dequelabs/axe-core).

Its file is no part of the sources: `make clients` brings the version of tests/dashboards/axe/package-lock.json.
"""

from __future__ import annotations

from tests.support.browser import Page
from tests.support.processes import ROOT

AXE = ROOT / "build" / "clients" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
MISSING = "axe-core is not here: `make clients` brings it"

# Frames are left out: the one there is holds a stranger's email, which is not ours to mend.
_RUN = """axe.run(document, {iframes: false, resultTypes: ['violations']}).then(({violations, passes}) => {
  if (passes.length < 10) throw new Error(`axe looked at next to nothing: ${passes.length} rules passed`);
  return violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
    .map(({id, help, nodes}) => `${id}: ${help}\\n` + nodes.slice(0, 5).map((node) => `    ${node.html}\\n    ${node.failureSummary}`).join('\\n'));
})"""


def serious(page: Page) -> list[str]:
    """What axe finds of impact serious or critical on the page as it is now: the rule, and up to five places."""
    if not page.value("'axe' in window"):
        # By the debugger's hand, which the page's Content-Security-Policy does not bind. Without a value: it is large.
        page.value(f"{AXE.read_text()};0")
    found: list[str] = page.value(_RUN)
    return found
