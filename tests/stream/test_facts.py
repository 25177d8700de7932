"""Facts in little memory: which hold, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from schemas.events import Lead
from schemas.settings import load
from stream.facts import ActiveFacts

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
PAUSE = Lead(lead="lead-1", fact="snoozed", at=NOW, until=NOW + timedelta(days=30))


def test_a_fact_that_ends_by_itself_holds_until_then() -> None:
    facts = ActiveFacts(load(token_keys="1:0123456789abcdef0123456789abcdef"))
    facts.put(PAUSE)
    facts.put(Lead(lead="lead-2", fact="unsubscribed", at=NOW))
    held, lasting = facts.get(PAUSE.key), facts.get(Lead(lead="lead-2", fact="unsubscribed", at=NOW).key)
    assert held is not None
    assert lasting is not None
    assert (held.until, held.holds_at(NOW), held.holds_at(NOW + timedelta(days=30))) == (PAUSE.until, True, False)
    assert (lasting.until, lasting.holds_at(NOW + timedelta(days=9999))) == (None, True)
    facts.put(replace(PAUSE, until=NOW + timedelta(days=60)))
    longer = facts.get(PAUSE.key)
    assert longer is not None
    assert longer.holds_at(NOW + timedelta(days=30))
    facts.put(replace(PAUSE, holds=False))
    assert facts.get(PAUSE.key) is None
    assert len(facts) == 1
