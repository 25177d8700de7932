"""The hot path: pixels and links, their group commit, and the spool for when Kafka is away."""
