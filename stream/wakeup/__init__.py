"""Who reads topics on one machine rests while nothing is written, and is woken by who writes."""
