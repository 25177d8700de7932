"""Keeps Apple's list of relay addresses fresh: fetched in a thread, checked, kept on disk, handed to the judge.

Until a first list has come the packaged one stands. Whatever goes wrong, the list in use stays in use.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from agents.runtime.metrics import RELAY_PREFIXES, RELAY_REFRESHES
from decisions.robots.relay import RelayList
from schemas.certificates import tls_context, with_advice
from schemas.errors import Reject, Retry
from schemas.settings import Settings

log = structlog.get_logger()

_MOST_BYTES = 32 << 20  # the list has some 10 MB at the most
_SILENCE_SECONDS = 20.0
_LONGEST_SECONDS = 120.0
_FIRST_PAUSE = 60.0  # after a failure; doubled up to the interval
_JITTER = 0.1  # of the interval, so that workers who started together don't ask together


class CachedRelayList(msgspec.Struct, frozen=True, kw_only=True):
    """The last good list as it came, with what the next request is conditional on. The file's time is when it was last
    known to be current."""

    url: str
    etag: str
    last_modified: str
    text: str


def cached_relay_list(settings: Settings) -> tuple[CachedRelayList, RelayList] | None:
    """The last good list of this URL on disk; None when the file is missing or unreadable."""
    try:
        read = msgspec.json.decode(_path(settings).read_bytes(), type=CachedRelayList)
        return (read, RelayList.parse(read.text.encode())) if read.url == settings.relay_list_url else None
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        log.warning("the kept relay list can't be used, fetching it again", why=str(error)[:300])
        return None


class RelayRefresher:
    """Refreshes the list in the background. `use` is called, from the thread, with each new one."""

    def __init__(self, settings: Settings, use: Callable[[RelayList], object]) -> None:
        self._settings = settings
        self._use = use
        self._kept: CachedRelayList | None = None
        self._list: RelayList | None = None
        self._failures = 0
        self._stopping = threading.Event()
        # A daemon: a request under way must not keep the worker from leaving.
        self._thread = threading.Thread(target=self._run, name="relay-list", daemon=True)

    def start(self) -> None:
        """Use what is kept, then go on in the background."""
        found = cached_relay_list(self._settings)
        if found is not None:
            self._kept, self._list = found
            self._hand_on(self._list)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        pause = self._until_due()
        while not self._stopping.wait(pause):
            self.once()
            pause = self._until_due()

    def once(self) -> str:
        """Send one request; returns the result, which is also counted: new, unchanged, refused or failed."""
        url, interval = self._settings.relay_list_url, self._settings.relay_list_hours * 3600
        try:
            result = self._ask()
            self._failures = 0
        except Exception as error:  # the thread must live on; what a hostile answer can raise is a long list
            result = "refused" if isinstance(error, Reject) else "failed"
            self._failures += 1
            log.warning(
                "relay list not refreshed, the one in use stays",
                url=url,
                why=str(error)[:300],
                seconds=min(interval, _FIRST_PAUSE * 2 ** (self._failures - 1)),
            )
        RELAY_REFRESHES.labels(result).inc()
        return result

    def _ask(self) -> str:
        fetched = _fetch(self._settings.relay_list_url, self._kept, self._settings.ca_file)
        if fetched is None:
            with contextlib.suppress(OSError):  # another process may have removed it
                os.utime(_path(self._settings))
            return "unchanged"
        try:
            new = RelayList.parse(fetched.text.encode())
        except ValueError as error:
            raise Reject("refused", f"it does not parse: {error}") from None
        before = self._list
        if before is not None and new.shrank(before):
            raise Reject(
                "refused",
                f"it lost more than half, from {before.prefixes} to {new.prefixes} prefixes; if that is right, remove "
                f"{_path(self._settings).name} from SENDLENS_DATA_DIR and restart",
            )
        self._kept = fetched
        try:
            _keep(_path(self._settings), fetched)
        except OSError as error:
            log.warning("relay list not kept on disk: a restart begins with an older one", why=str(error))
        if before is not None and new.name == before.name:
            return "unchanged"
        self._list = new
        self._hand_on(new)
        return "new"

    def _hand_on(self, relay: RelayList) -> None:
        self._use(relay)
        RELAY_PREFIXES.set(relay.prefixes)
        log.info("relay list in use", list=relay.name, prefixes=relay.prefixes)

    def _until_due(self) -> float:
        """Seconds until the next request: at once without a list, sooner than usual after a failure."""
        interval = self._settings.relay_list_hours * 3600
        if self._failures:
            return min(interval, _FIRST_PAUSE * 2.0 ** (self._failures - 1))
        if self._kept is None:
            return 0.0
        try:
            age = max(0.0, time.time() - _path(self._settings).stat().st_mtime)
        except OSError:
            age = 0.0
        return max(0.0, interval - age) + random.random() * _JITTER * interval  # noqa: S311  # no secret


def _path(settings: Settings) -> Path:
    return settings.data_dir / "relay-list.json"


def _fetch(url: str, known: CachedRelayList | None, ca_file: str = "") -> CachedRelayList | None:
    """The list as it is now, None when it is the known one. Raises Retry, and Reject for what no list can be."""
    trusted = tls_context(ca_file)
    request = urllib.request.Request(url, headers={"User-Agent": "sendlens"})  # noqa: S310  # http(s), says Settings
    if known is not None and known.etag:
        request.add_header("If-None-Match", known.etag)
    if known is not None and known.last_modified:
        request.add_header("If-Modified-Since", known.last_modified)
    ends = time.monotonic() + _LONGEST_SECONDS
    try:
        with urllib.request.urlopen(request, timeout=_SILENCE_SECONDS, context=trusted) as answer:  # noqa: S310
            if url.startswith("https:") and not answer.url.startswith("https:"):
                raise Reject("refused", f"it leads away from https, to {answer.url[:100]}")
            body = bytearray()
            while chunk := answer.read(1 << 16):
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise Reject("refused", f"it has more than {_MOST_BYTES >> 20} MB")
                if time.monotonic() > ends:
                    raise Retry(f"it takes longer than {_LONGEST_SECONDS:.0f} s")
            if answer.length:  # http.client ends quietly where a server hangs up in the middle
                raise Retry(f"it broke off {answer.length} bytes before its end")
            return CachedRelayList(
                url=url,
                etag=answer.headers.get("ETag", ""),
                last_modified=answer.headers.get("Last-Modified", ""),
                text=body.decode("utf-8", "replace"),
            )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return None
        raise Retry(f"status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Retry(f"no answer: {with_advice(error)}") from None


def _keep(path: Path, fetched: CachedRelayList) -> None:
    """Write the file so that a crash leaves the old one or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
    try:
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(fetched))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
