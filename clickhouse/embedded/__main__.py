"""`python -m clickhouse.embedded`: serves one data directory in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from clickhouse.embedded import Access, EngineError, User, serve
from schemas.logs import EscapingFormatter

_PASSWORD, _READONLY_PASSWORD = "CLICKHOUSE_PASSWORD", "CLICKHOUSE_READONLY_PASSWORD"


def main() -> int:
    """Runs the server; 0 after a clean end, 2 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m clickhouse.embedded", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--path", type=Path, required=True, help="data directory; created when missing")
    parser.add_argument("--open", action="store_true", help="let anybody in as the user default: for tests")
    parser.add_argument("--readonly-user", default="", help="a user who may only read, for Grafana")
    given = parser.parse_args()
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter("clickhouse: %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Not by arguments, which every user of the machine can see.
    password, readonly_password = (os.environ.get(name, "") for name in (_PASSWORD, _READONLY_PASSWORD))
    if not (password or given.open):
        parser.error(f"{_PASSWORD} is not set: the user default needs a password")
    if given.readonly_user and not readonly_password:
        parser.error(f"{_READONLY_PASSWORD} is not set: the user {given.readonly_user} needs a password")
    users = [User("default", password or None, Access.FULL)]
    if given.readonly_user:
        users.append(User(given.readonly_user, readonly_password, Access.GUEST))
    try:
        serve(given.host, given.port, given.path, users=users)
    except (EngineError, OSError) as error:
        print(f"clickhouse: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
