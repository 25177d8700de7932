"""`sendlens report`."""
