"""The stage `sender`."""
