"""The connections to a topic's brokers: one each, dialled when it is first wanted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

from kafka.errors import KafkaConnectionError, KafkaError

from stream.produce.broker_link import BrokerLink

Address = tuple[str, int]
# What came of it: None when the link is there.
Dialled = Callable[[KafkaError | None], None]

_CONNECT_SECONDS = 5.0
# As kafka-python's: the pause before another try, doubled with each that failed in a row, and by how much of it one
# may differ from another.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 1.0
_JITTER = 0.2


class BrokerLinks:
    """Links by address. Who wants one that is being dialled waits for the same dial; a broker that could not be
    reached is not dialled again before a pause."""

    def __init__(self, patience: float) -> None:
        """`patience`: how long a broker may take for a response, in seconds."""
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._links: dict[Address, BrokerLink] = {}
        self._dials: dict[Address, asyncio.Task[KafkaError | None]] = {}
        self._failed: dict[Address, tuple[int, float]] = {}  # how often in a row, and when it may be dialled again

    def get(self, address: Address) -> BrokerLink | None:
        """The link to this broker, if it can be asked."""
        return self._links.get(address)

    def dial(self, address: Address, dialled: Dialled) -> None:
        """Connect to the broker. `dialled` is called once, later, unless `close` comes first."""
        dial = self._dials.get(address)
        if dial is None:
            dial = self._dials[address] = self._loop.create_task(self._dial(address))
        dial.add_done_callback(partial(self._done, address, dialled))

    def close(self) -> None:
        """Close all at once; what was asked of them is answered with None soon."""
        for dial in self._dials.values():
            dial.cancel()
        for link in list(self._links.values()):
            link.close()

    def _done(self, address: Address, dialled: Dialled, dial: asyncio.Task[KafkaError | None]) -> None:
        if dial.cancelled():
            return
        error = dial.result()
        if error is None and address not in self._links:
            error = KafkaConnectionError(f"{address[0]}:{address[1]} closed the connection at once")
        dialled(error)

    async def _dial(self, address: Address) -> KafkaError | None:
        def lost(link: BrokerLink) -> None:
            if self._links.get(address) is link:
                del self._links[address]

        failures, rests_until = self._failed.get(address, (0, 0.0))
        try:
            await asyncio.sleep(rests_until - self._loop.time())
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, link = await self._loop.create_connection(lambda: BrokerLink(self._patience, lost), *address)
            if link.connected:
                self._links[address] = link
            self._failed.pop(address, None)
            return None
        except Exception as error:  # whatever it is, partitions wait to hear of it
            self._failed[address] = failures + 1, self._loop.time() + pause(failures + 1) * jitter()
            return KafkaConnectionError(f"{address[0]}:{address[1]} can't be reached: {error!r}")
        finally:
            del self._dials[address]


def pause(failures: int) -> float:
    """Seconds before another try after so many, one or more, that failed in a row."""
    return min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))


def jitter() -> float:
    """What to multiply a pause by, so that not all processes come at the same moment."""
    return 1 + _JITTER * (2 * random.random() - 1)  # noqa: S311  # no secret
