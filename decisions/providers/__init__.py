"""What mail providers report of emails, in one shape: a file a provider, one table of their words."""
