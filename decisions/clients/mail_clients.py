"""Which mail client or browser a user agent says it is, and on what kind of device it runs.

The tables are the rule: `data/clients.tsv` names the program, `data/devices.tsv` the kind of device by the system that
the agent names. Rows are tried in the order of the file and the first that matches decides. What no row knows is
`unknown`. No verdict depends on it: a robot that dresses as Chrome is called Chrome here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, cast, get_args

from msgspec import Struct

from decisions.robots.user_agents import Matcher
from decisions.tables import rows
from schemas.events import HitKind

Device = Literal["desktop", "mobile", "tablet", "other", "unknown"]

UNKNOWN_CLIENT = "unknown"
_BY_SYSTEM = "@"  # of a row without a device of its own: by the system that the agent names

_CACHED_AGENTS = 32_768
_CACHED_LENGTH = 512  # longer agents are rare and mostly hostile: read each time rather than kept
_READ_LENGTH = 4096  # what is read of an agent; real ones end before 1,000 characters


class MailClient(Struct, frozen=True, gc=False):
    """What a user agent is called by an open and by a click, and the kind of device that it runs on: the same agent may
    be a mail client's that shows an email, and an app's that shows a page."""

    on_open: str
    on_click: str
    device: Device

    def name(self, kind: HitKind) -> str:
        """What it is called by a hit of this kind."""
        return self.on_open if kind == "open" else self.on_click


class MailClients:
    """Names user agents; remembers recent ones."""

    def __init__(
        self, clients: Sequence[tuple[str, str, str, Device | None]], devices: Sequence[tuple[str, Device]]
    ) -> None:
        self._clients, self._devices = clients, devices
        self._match_client = Matcher([pattern for pattern, *_ in clients])
        self._match_device = Matcher([pattern for pattern, _ in devices])
        self._remembered: Callable[[str], MailClient] = lru_cache(maxsize=_CACHED_AGENTS)(self._find)

    @classmethod
    def load(cls) -> MailClients:
        """Read the packaged tables. Raises ValueError naming the line that is wrong."""
        return cls(list(_clients()), list(_devices()))

    def find(self, user_agent: str) -> MailClient:
        """Say what this text names. Any text gives an answer."""
        if len(user_agent) <= _CACHED_LENGTH:
            return self._remembered(user_agent)
        return self._find(user_agent)

    def _find(self, user_agent: str) -> MailClient:
        text = user_agent[:_READ_LENGTH].strip().encode("utf-8", "replace")
        at = self._match_client.first(text)
        on_open, on_click, device = UNKNOWN_CLIENT, UNKNOWN_CLIENT, None
        if at is not None:
            _, on_open, on_click, device = self._clients[at]
        return MailClient(on_open, on_click, device or self._device(text))

    def _device(self, text: bytes) -> Device:
        at = self._match_device.first(text)
        return "unknown" if at is None else self._devices[at][1]


def _clients() -> list[tuple[str, str, str, Device | None]]:
    return [
        (pattern, on_open, on_click, None if device == _BY_SYSTEM else _as_device(place, device))
        for place, (pattern, on_open, on_click, device, _source) in rows("clients.tsv", 5)
    ]


def _devices() -> list[tuple[str, Device]]:
    return [(pattern, _as_device(place, device)) for place, (pattern, device, _source) in rows("devices.tsv", 3)]


def _as_device(place: str, device: str) -> Device:
    if device not in get_args(Device):
        raise ValueError(f"{place}: a device is one of {', '.join(get_args(Device))}, or {_BY_SYSTEM} in clients.tsv")
    return cast(Device, device)
