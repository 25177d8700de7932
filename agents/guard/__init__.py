"""The stage `guard`."""
