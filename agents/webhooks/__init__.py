"""The stage `webhooks`."""
