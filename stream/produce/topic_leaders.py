"""Where a topic's leaders are, by the metadata that a kafka-python producer keeps."""

from __future__ import annotations

from kafka import KafkaProducer

from stream.produce.broker_links import Address


class TopicLeaders:
    """The leaders of one topic, as its LoopProducer asks for them. The producer's own thread does the looking up."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._metadata = producer._metadata
        self._topic = topic

    def of(self, partition: int) -> Address | None:
        """Where the partition's leader listens, None while nobody knows."""
        # Read once: the thread may put other metadata in its place at any moment, and these may lack the topic.
        known = self._metadata._partitions.get(self._topic, {}).get(partition)
        found = None if known is None or known.leader_id < 0 else self._metadata.broker_metadata(known.leader_id)
        return None if found is None else (found.host, found.port)

    def look_again(self) -> None:
        """Have the metadata fetched again."""
        self._metadata.request_update()
