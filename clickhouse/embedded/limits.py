"""What one query of a guest may use. A guest may ask for less; more is brought down to these."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from clickhouse.embedded.errors import BAD_ARGUMENTS, ServerError

# As in clickhouse/config/users.xml: seconds and bytes. More threads than cores only take turns.
_ALWAYS: Final = {"max_execution_time": 60, "max_memory_usage": 4_000_000_000}
_IF_ASKED: Final = {"max_threads": os.cpu_count() or 1}
_NUMBER: Final = re.compile(r"\d{1,20}(\.\d{0,20})?", re.ASCII)


def limited(settings: Mapping[str, str]) -> dict[str, str]:
    """A guest's `settings` within the limits. Raises ServerError for a limit that is not a plain number.

    To the engine 0 is no limit at all, so that it asks for the most there is.
    """
    within = dict(settings)
    for name, most in (_ALWAYS | _IF_ASKED).items():
        asked = settings.get(name, "0" if name in _ALWAYS else None)
        if asked is None:
            continue
        if not _NUMBER.fullmatch(asked):
            raise ServerError(BAD_ARGUMENTS, f"{name} must be a number from 0 to {most}, not '{asked[:40]}'.")
        within[name] = asked if 0 < float(asked) <= most else str(most)
    return within
