"""What follows from an event: facts, pauses, and what other systems are told."""
