"""Whether an email may go out, what it looks like, and what its mail server's answer means."""
