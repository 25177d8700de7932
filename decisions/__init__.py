"""Judgements without I/O or a clock, below both edges: ingest and the stages call the same functions."""
