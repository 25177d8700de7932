"""The inbox reads mailboxes by OAuth 2.0: from one process to the next, and beside one whose access has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ingest.inbox.conftest import settings_on
from tests.ingest.inbox.house import ANNA, House, a_mail, accounts, subjects
from tests.support.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer
from tests.support.broker import Broker, drop_topics
from tests.support.imap import ImapServer, missing
from tests.support.processes import free_port

pytestmark = pytest.mark.timeout(150)
BERT = "bert@example.com"


@pytest.fixture
def tokens() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(rotates=True) as server:
        yield server


@pytest.fixture
def house(tokens: AuthorizationServer, embedded: Broker, tmp_path: Path) -> Iterator[House]:
    """Dovecot with Anna's and Bert's mailboxes, and a refresh token of Anna's in the environment."""
    if missing("dovecot"):
        pytest.skip(missing("dovecot"))
    server = ImapServer("dovecot", (ANNA, BERT), introspection=tokens.introspection)
    house = House(server, settings_on(embedded.bootstrap), tmp_path)
    house.env |= {"T_ID": CLIENT_ID, "T_SECRET": CLIENT_SECRET, "T_REFRESH": tokens.consent(ANNA)}
    try:
        server.start()
        yield house
    finally:
        house.close()
        drop_topics(house.settings)


def both(house: House, tokens: AuthorizationServer) -> str:
    """Anna's mailbox by a grant, Bert's by a password."""
    grant = (
        f'[account.imap.oauth2]\ntoken_url = "{tokens.url}"\nclient_id_env = "T_ID"\n'
        'client_secret_env = "T_SECRET"\nrefresh_token_env = "T_REFRESH"\n'
    )
    anna = accounts(house.server).replace('password_env = "TEST_IMAP_PASSWORD"\n', grant)
    return anna + accounts(house.server, (BERT,))


def test_a_new_process_goes_on_with_the_refresh_token_that_was_kept(house: House, tokens: AuthorizationServer) -> None:
    house.run(both(house, tokens))
    house.server.deliver(ANNA, a_mail("one"))
    assert subjects(house.mails(1)) == ["one"]
    assert house.process
    assert house.process.stop(8) == 0
    kept = house.folder / "data" / "oauth2" / "T_REFRESH.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    state = json.loads(kept.read_text())
    assert state["refresh_token"] != house.env["T_REFRESH"]
    kept.write_text(json.dumps(state | {"expires_at": state["renewed_at"] + 1}))  # as after an hour
    house.run(both(house, tokens))
    house.server.deliver(ANNA, a_mail("two"))
    assert subjects(house.mails(2)) == ["one", "two"]
    assert len(tokens.requests) == 2
    for secret in (*house.env.values(), state["refresh_token"], state["access_token"]):
        assert secret == CLIENT_ID or secret not in house.output()


def test_a_grant_that_was_revoked_stops_no_other_mailbox(house: House, tokens: AuthorizationServer) -> None:
    tokens.revoke(ANNA)
    port = free_port()
    house.env["SENDLENS_INBOX_METRICS_PORT"] = str(port)
    house.write(both(house, tokens))
    house.start()
    house.until(lambda: "following a mailbox" in house.output(), "Bert's mailbox to be followed")
    house.until(lambda: "access to a mailbox is no longer granted" in house.output(), "the line")
    house.server.deliver(BERT, a_mail("one"))
    assert subjects(house.mails(1)) == ["one"]
    assert house.output().count("access to a mailbox is no longer granted") == 1
    assert "put the new refresh token into T_REFRESH" in house.output()
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "sendlens_oauth2_refused_grants 1.0" in metrics
    assert 'sendlens_oauth2_renewals_total{result="refused"} 1.0' in metrics
    assert len(tokens.requests) == 1
