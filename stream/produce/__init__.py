"""Records of one topic to Kafka on the event loop itself: no thread, no object a record."""
