"""`python -m clickhouse.embedded`: serves one data directory in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from clickhouse.embedded import EngineError, serve


def main() -> int:
    """Runs the server; 0 after a clean end, 2 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m clickhouse.embedded", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--path", type=Path, required=True, help="data directory; created when missing")
    parser.add_argument(
        "--password",
        default=os.environ.get("CLICKHOUSE_PASSWORD", ""),
        help="of the user default",
    )
    parser.add_argument("--readonly-user", default="", help="a user who may only read, for Grafana")
    parser.add_argument("--readonly-password", default=os.environ.get("CLICKHOUSE_READONLY_PASSWORD", ""))
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="clickhouse: %(levelname)s %(message)s")
    try:
        serve(
            given.host,
            given.port,
            given.path,
            password=given.password,
            readonly_user=given.readonly_user,
            readonly_password=given.readonly_password,
        )
    except (EngineError, OSError) as error:
        print(f"clickhouse: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
