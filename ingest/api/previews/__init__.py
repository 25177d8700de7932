"""The HTML of variants, as platforms declare it."""
