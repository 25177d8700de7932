"""Makes sure a link is known to every ingest before the email that carries it leaves."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from agents.sender.outage import Outage
from schemas.events import Link

REMEMBERED = 200_000  # link ids, about 30 MB; one forgotten is announced again, which changes nothing


class AnnouncedLinks:
    """Publishes each link once per process, as far as memory goes; a failed publication is tried until it succeeds."""

    def __init__(
        self, publish: Callable[[list[Link]], Awaitable[None]], outage: Outage, *, remembered: int = REMEMBERED
    ) -> None:
        self._publish = publish
        self._outage = outage
        self._remembered = remembered
        self._known: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def announce(self, links: Iterable[Link]) -> None:
        """Return when every one of them has been acknowledged. Raises Stopped."""
        mine, others = [], []
        for link in links:
            if link.link_id in self._known:
                self._known.move_to_end(link.link_id)
            elif link.link_id in self._under_way:
                others.append(link)
            else:
                mine.append(link)
        if mine:
            await self._announce(mine)
        for link in others:
            under_way = self._under_way.get(link.link_id)
            if under_way is not None:
                await asyncio.wait([under_way])
        if any(link.link_id not in self._known for link in others):
            await self.announce(others)  # the task that was publishing them gave up

    async def _announce(self, links: list[Link]) -> None:
        done = asyncio.get_running_loop().create_future()
        for link in links:
            self._under_way[link.link_id] = done
        try:
            while True:
                await self._outage.wait()
                try:
                    await self._publish(links)
                except Exception as error:  # whatever it is, the email must not leave before its links are known
                    self._outage.failed(repr(error))
                else:
                    break
            self._outage.over()
            for link in links:
                self._known[link.link_id] = None
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        finally:
            for link in links:
                self._under_way.pop(link.link_id, None)
            done.set_result(None)
