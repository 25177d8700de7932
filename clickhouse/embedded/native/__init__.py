"""ClickHouse's Native format: blocks of columns, compressed or not."""
