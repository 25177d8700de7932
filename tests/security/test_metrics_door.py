"""Figures are for the operator: of worker and inbox on loopback, of ingest with a key where keys are set."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from schemas.keys import new_key
from tests.security.front import KEY, room, settings_of
from tests.support.broker import Broker
from tests.support.processes import free_port, start
from tests.support.waiting import wait_until

LOOPBACK = "127.0.0.1"
BESIDE = "127.0.0.2"  # this machine too, and reached only by who listens on all its addresses


async def test_ingests_figures_need_a_key_of_their_scope_where_keys_are_set(tmp_path: Path, broker: Broker) -> None:
    prometheus, kept = new_key()
    crm, kept_of_crm = new_key()
    keys = f"prometheus=metrics={kept},crm=sends+read={kept_of_crm}"
    async with room(tmp_path, broker, api_key=KEY, api_keys=keys) as there:
        get = there.client.get
        assert (await get("/metrics")).status_code == 401
        assert (await get("/metrics", headers={"Authorization": f"Bearer {crm}"})).status_code == 403
        for key in (prometheus, KEY):
            answer = await get("/metrics", headers={"Authorization": f"Bearer {key}"})
            assert (answer.status_code, "sendlens_hits_in_flight" in answer.text) == (200, True)
        assert (await get("/v1/stats/daily", headers={"Authorization": f"Bearer {prometheus}"})).status_code == 403


async def test_without_keys_ingest_is_on_loopback_and_shows_them(tmp_path: Path, broker: Broker) -> None:
    async with room(tmp_path, broker) as there:
        assert (await there.client.get("/metrics")).status_code == 200
        assert (await there.client.get("/metrics", headers={"Host": "evil.example"})).status_code == 421


@pytest.mark.parametrize(
    ("command", "port_is"),
    [(["work", "--stage", "judge"], "SENDLENS_WORKER_METRICS_PORT"), (["inbox"], "SENDLENS_INBOX_METRICS_PORT")],
    ids=["worker", "inbox"],
)
@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_worker_and_inbox_show_theirs_on_loopback_unless_told_otherwise(
    command: list[str], port_is: str, host: str, tmp_path: Path, broker: Broker
) -> None:
    settings = settings_of(tmp_path, broker)
    port = free_port()
    environment = {
        "SENDLENS_KAFKA": settings.kafka,
        "SENDLENS_TOPIC_PREFIX": settings.topic_prefix,
        "SENDLENS_PARTITIONS": str(settings.partitions),
        "SENDLENS_TOKEN_KEYS": settings.token_keys,
        "SENDLENS_CLICKHOUSE_URL": settings.clickhouse_url,
        "SENDLENS_DATA_DIR": str(tmp_path),
        "SENDLENS_SENDERS": str(tmp_path / "none.toml"),
        port_is: str(port),
    } | ({"SENDLENS_METRICS_HOST": host} if host else {})
    process = start(["-m", "sendlens", *command], tmp_path / "log", environment)
    try:
        wait_until(lambda: answers(LOOPBACK, port) or process.popen.poll() is not None, 40, "figures")
        assert process.popen.poll() is None, process.output()
        assert answers(BESIDE, port) is bool(host)
    finally:
        process.kill()


def answers(address: str, port: int) -> bool:
    try:
        return "process_cpu_seconds_total" in httpx.get(f"http://{address}:{port}/metrics").text
    except httpx.TransportError:
        return False
