"""Instrumenting emails in processes of their own, so that the loop that answers hits never waits for one."""
