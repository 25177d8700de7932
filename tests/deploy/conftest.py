"""What processes show at `/metrics` right after their start, once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.support.broker import Broker
from tests.support.processes import free_port, start
from tests.support.stream import running_stream
from tests.support.waiting import wait_until

MAILBOX = "news@shop.example.com"
_SENDERS = f"""\
[[account]]
address = "{MAILBOX}"

[account.imap]
host = "127.0.0.1"
port = 9
tls = "none"
password_env = "FRESH_MAILBOX_PASSWORD"
"""


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[Mapping[str, str]]:
    """The text of `/metrics` of a process of each kind that has had nothing to do yet. The mailbox can't be reached."""
    folder = tmp_path_factory.mktemp("fresh")
    (folder / "senders.toml").write_text(_SENDERS)
    with running_stream(folder, broker, ingest_port=free_port(), senders=folder / "senders.toml") as stream:
        worker_port, inbox_port = free_port(), free_port()
        env = stream.environment | {
            "SENDLENS_WORKER_METRICS_PORT": str(worker_port),
            "SENDLENS_INBOX_METRICS_PORT": str(inbox_port),
            "FRESH_MAILBOX_PASSWORD": "x",
        }
        asked = {
            "ingest": f"http://127.0.0.1:{stream.settings.ingest_port}/metrics",
            "worker": f"http://127.0.0.1:{worker_port}/metrics",
            "inbox": f"http://127.0.0.1:{inbox_port}/metrics",
        }
        commands = {"ingest": "ingest", "worker": "work", "inbox": "inbox"}
        processes = [start(["-m", "sendlens", commands[role]], folder / f"{role}.log", env) for role in asked]
        texts: dict[str, str] = {}
        try:

            def told() -> bool:
                for role, process in zip(asked, processes, strict=True):
                    assert process.popen.poll() is None, process.output()
                    try:
                        texts[role] = httpx.get(asked[role], timeout=5).raise_for_status().text
                    except httpx.TransportError:
                        return False
                # The last of the worker's come once its stages run, the inbox' once it has looked for its mailboxes.
                return "\nsendlens_webhook_endpoints{" in texts["worker"] and "sendlens_stage_lag" in texts["worker"]

            wait_until(told, 60, "the metrics of three processes")
            yield texts
        finally:
            for process in processes:
                process.stop(60)  # not killed: a server's own processes would outlive it
