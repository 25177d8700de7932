"""Kafka for every room: writing, views of state topics, reading back, and the topics themselves."""
