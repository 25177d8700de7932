"""How large a record each topic takes, by the broker's own word: asked before it is sent what it will refuse, and
compared with our contract.

kafka-python's producer is of no use after a refusal, so a record that is too large is best not sent.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import structlog
from kafka.record.default_records import DefaultRecordBatchBuilder

from schemas.errors import Reject, Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.topic_admin import limits_of, too_small

log = structlog.get_logger()

# Operators change limits now and then; a refusal asks at once.
_LOOK_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 1.0  # at the most so often
_BATCH_BYTES: int = DefaultRecordBatchBuilder.HEADER_STRUCT.size


class RecordLimits:
    """What the broker said last. A topic of which it says nothing has no limit. A thread does the asking."""

    def __init__(self, settings: Settings, topics: Sequence[Topic]) -> None:
        self._settings = settings
        self._topics = topics
        self._limits: Mapping[Topic, int] = {}
        self._thread: threading.Thread | None = None
        self._due = threading.Event()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to ask, or ask again when it was begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kafka-limits", daemon=True)
            self._thread.start()
        self.look()

    def stop(self) -> None:
        """Ask no more. Does not wait for an answer that is under way."""
        self._stopping.set()
        self._due.set()

    def look(self) -> None:
        """Ask soon: what is known may be of yesterday."""
        self._due.set()

    def check(self, topic: Topic, key: bytes | None, value: bytes) -> None:
        """Raises Reject when the topic takes no record of this size."""
        limit = self._limits.get(topic)
        if limit is not None and _size(key, value) > limit:
            self.look()
            name = self._settings.topic(topic)
            raise Reject("too-large", f"topic {name} takes records of {limit} bytes at most: raise max.message.bytes")

    @property
    def too_small(self) -> list[str]:
        """The topics that take less than our contract says, a sentence each."""
        return too_small(self._settings, self._limits)

    def _work(self) -> None:
        told: list[str] = []
        while not self._stopping.is_set():
            self._due.clear()
            try:
                self._limits = limits_of(self._settings, self._topics)
            except Retry as error:
                log.debug("the topics' limits are not known", why=str(error))
            if self.too_small != told:
                told = self.too_small
                log.warning("topics take less than they should", why=told or "no longer")
            if not self._stopping.wait(_LOOK_AGAIN_SECONDS):
                self._due.wait(_LOOK_SECONDS)


def _size(key: bytes | None, value: bytes) -> int:
    """The bytes of a batch with this record alone, which is what a broker's limit is on."""
    return _BATCH_BYTES + int(DefaultRecordBatchBuilder.size_in_bytes(0, 0, key, value, []))
