"""What takes an email away: SMTP, its dialogue, and the signature that goes with it."""
