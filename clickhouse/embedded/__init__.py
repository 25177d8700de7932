"""The embedded ClickHouse: chDB behind ClickHouse's HTTP interface: a real server differs by its URL alone."""

from clickhouse.embedded.engine import EngineError
from clickhouse.embedded.server import serve

__all__ = ["EngineError", "serve"]
