"""The operator's own country file: in which country an address is. It is read again once it has changed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import structlog

from agents.judge.maxmind import open_maxmind
from agents.runtime.metrics import COUNTRY_FILES
from schemas.errors import Misconfigured

log = structlog.get_logger()

_KINDS = ("COUNTRY", "CITY", "ENTERPRISE")
_WANTED = "countries: take GeoLite2-Country"
_LOOK_EVERY = 60.0  # seconds; geoipupdate replaces the file once or twice a week
_CACHED_ADDRESSES = 65_536  # a look-up decodes the country's names in eight languages
_CODE = re.compile(r"[A-Z]{2}")  # ISO 3166-1 alpha-2
_PROBED = 1000  # networks that are looked at when the file is opened

_Signature = tuple[int, int, int]


class CountryFile:
    """Finds the country of an address. Safe from any thread.

    Raises Misconfigured when the file can't be read or holds no countries. A later one that can't be used is logged and
    counted, and the one in use stays.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen = self._signature()
        self._database = _CountryDatabase(path)
        self._stopping = threading.Event()
        # A daemon: reading a file must not keep the worker from leaving.
        self._thread = threading.Thread(target=self._run, name="country-file", daemon=True)

    def find(self, ip: str) -> str:
        """The country's code (ISO 3166-1 alpha-2); empty where the file knows none. Any text gives an answer."""
        return self._database.find(ip)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> str:
        """Read the file if it has changed; returns the result: unchanged, or, counted, new or refused. A file that was
        refused is read again once it has changed."""
        signature = self._signature()
        if signature in (None, self._seen):  # for a moment it is away while it is replaced
            return "unchanged"
        self._seen = signature
        try:
            self._database = _CountryDatabase(str(self._path))
        except Misconfigured as error:
            result = "refused"
            log.warning("the new country file can't be used, the one in use stays", why=str(error)[:300])
        else:
            result = "new"
            log.info("country file in use", path=str(self._path))
        COUNTRY_FILES.labels(result).inc()
        return result

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY):
            self.look()

    def _signature(self) -> _Signature | None:
        """What tells a file from the one that it replaces; None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def country_file(path: str) -> CountryFile | None:
    """The file at this path (GeoLite2-Country or of its shape); None for no path. Raises Misconfigured."""
    return CountryFile(path) if path else None


class _CountryDatabase:
    """One state of the file; remembers recent addresses. Raises Misconfigured."""

    def __init__(self, path: str) -> None:
        self._database = open_maxmind("SENDLENS_COUNTRY_FILE", path, _KINDS, _WANTED)
        _check_form(self._database, path)
        self._path = path
        self._is_damaged = False
        self.find: Callable[[str], str] = lru_cache(maxsize=_CACHED_ADDRESSES)(self._look_up)

    def _look_up(self, ip: str) -> str:
        try:
            found: Any = self._database.get(ip)
        except ValueError:  # no address, or an IPv6 address in a file of IPv4
            return ""
        except Exception as error:  # what a damaged file makes the reader raise is a long list
            self._report(error)
            return ""
        return _code_of(found)

    def _report(self, error: Exception) -> None:
        COUNTRY_FILES.labels("damaged").inc()
        if not self._is_damaged:
            self._is_damaged = True
            log.warning(
                "the country file is damaged, some countries stay unknown", path=self._path, why=str(error)[:300]
            )


def _code_of(record: Any) -> str:
    """The country's code in a record of MaxMind's form; empty where it has none."""
    country = record.get("country") if isinstance(record, dict) else None
    code = country.get("iso_code") if isinstance(country, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _check_form(database: Any, path: str) -> None:
    """Raises Misconfigured for a file whose first networks can't be read, or say no country in MaxMind's form."""
    try:
        is_known = any(_code_of(record) for _, record in islice(database, _PROBED))
    except Exception as error:  # what a damaged file makes the reader raise is a long list
        raise Misconfigured(f"SENDLENS_COUNTRY_FILE: {path} is damaged ({error}): fetch it again") from None
    if not is_known:
        raise Misconfigured(
            f"SENDLENS_COUNTRY_FILE: {path} says no country.iso_code, as GeoLite2-Country does: take that"
        )
