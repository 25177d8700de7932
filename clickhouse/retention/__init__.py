"""How long rows are kept, and what of them is blanked before."""
