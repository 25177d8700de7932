"""Notifications of Amazon SNS, by which SES reports."""
