"""`sendlens rebuild`: rebuilds the tables derived from events."""

from __future__ import annotations

from commands.edge import explained, read_settings

_PATIENCE = 3600  # seconds for a statement; most take some


def rebuild() -> None:
    """Rebuild every table derived from events. Run it again after an interruption; until it is done numbers are low."""
    with explained():
        from clickhouse import counting
        from clickhouse import rebuild as rebuilding
        from clickhouse.store import connect

        with connect(read_settings(), send_receive_timeout=_PATIENCE) as client:
            campaigns = rebuilding.rebuild(client, lambda done: print(done, flush=True))
            print(f"{campaigns} campaigns; counting ahead")
            while counting.roll(client, most=1_000):
                pass
        print("rebuilt")
