"""`sendlens backup`, `restore` and `rewind`: what ClickHouse holds and the secrets, in a folder and back."""
