"""Reads a raw mail that came back: `read.read_mail` is the way in; nothing here does I/O or knows the time."""
