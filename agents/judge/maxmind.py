"""Opens MaxMind DB files of the operator's (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from schemas.errors import Misconfigured


def open_maxmind(setting: str, path: str, kinds: Collection[str], wanted: str) -> Any:
    """Open a file whose type has one of the words `kinds` in it; returns a maxminddb.Reader.

    The file is read into memory, so that replacing it does no harm to a running process. Raises Misconfigured, which
    names the setting and what is `wanted`, when it can't be read or is of another type.
    """
    import maxminddb  # by those alone who have a file

    try:
        database = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise Misconfigured(f"{setting}: {path} can't be read ({error})") from None
    kind = database.metadata().database_type
    if not any(word in kind.upper() for word in kinds):
        raise Misconfigured(f"{setting}: {path} holds {kind}, not {wanted}")
    return database
