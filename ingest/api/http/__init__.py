"""What every route of `/v1` needs of HTTP: callers, problems, idempotency, its document."""
