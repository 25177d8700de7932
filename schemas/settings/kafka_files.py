"""Apache Kafka on this machine: where `make kafka` puts it, and whether it can run."""

from __future__ import annotations

import shutil
from pathlib import Path

_ROOT = Path(__file__).parents[2]
KAFKA_LIBS = _ROOT / ".kafka" / "libs"
KAFKA_LOG_CONFIG = _ROOT / "deploy" / "kafka" / "log4j2.properties"
_READY = _ROOT / ".kafka" / "ready"  # written last by `make kafka`


def kafka_missing() -> str:
    """Why Apache Kafka can't run on this machine; empty when it can."""
    if shutil.which("java") is None:
        return "no Java here for Apache Kafka: on Debian, apt-get install default-jre-headless"
    if not _READY.exists():
        return "no Apache Kafka here: `make kafka` brings it"
    return ""
