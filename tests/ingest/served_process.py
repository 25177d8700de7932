"""Ingest in a process of its own, on a free port, for tests that speak over the wire or kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from schemas.settings import Settings
from tests.ingest.room import PATIENCE
from tests.support.processes import free_port


@contextmanager
def served(
    settings: Settings,
    *,
    ready: bool = True,
    command: tuple[str, ...] = ("-m", "tests.ingest.served"),
    folder: Path | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Ingest on a free port, ready, or only alive when its broker is away; yields its URL and process.

    `command` is Python's, run in the `folder`.
    """
    port = free_port()
    environment = {
        **os.environ,
        "SENDLENS_KAFKA": settings.kafka,
        "SENDLENS_CLICKHOUSE_URL": settings.clickhouse_url,
        "SENDLENS_TOPIC_PREFIX": settings.topic_prefix,
        "SENDLENS_TOKEN_KEYS": settings.token_keys,
        "SENDLENS_PARTITIONS": str(settings.partitions),
        "SENDLENS_DATA_DIR": str(settings.data_dir),
        "SENDLENS_API_KEY": settings.api_key,
        "SENDLENS_PUBLIC_URL": settings.public_url,
        "SENDLENS_TRACKING_HOSTS": settings.tracking_hosts,
        "SENDLENS_TRUSTED_PROXIES": settings.trusted_proxies,
        "SENDLENS_SENDERS": str(settings.senders),
        "SENDLENS_ANSWER_WITHIN_MS": str(settings.answer_within_ms),
        "SENDLENS_INGEST_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _until_200(f"{url}/readyz" if ready else f"{url}/healthz", process)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=PATIENCE)
        if process.stdout:
            process.stdout.close()


def _until_200(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, "ingest ended"
        assert time.monotonic() < deadline, "ingest was not ready in time"
        time.sleep(0.05)
