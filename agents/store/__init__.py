"""The stage `store`."""
