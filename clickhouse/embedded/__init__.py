"""The embedded ClickHouse: chDB behind ClickHouse's HTTP interface: a real server differs by its URL alone."""

from clickhouse.embedded.engine import EngineError
from clickhouse.embedded.engine_connection import Access
from clickhouse.embedded.login import User
from clickhouse.embedded.server import serve

__all__ = ["Access", "EngineError", "User", "serve"]
