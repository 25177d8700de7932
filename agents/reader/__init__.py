"""The stage `reader`."""
