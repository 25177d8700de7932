"""The groups of the `sendlens` command, a file each; sendlens.py puts them together."""
