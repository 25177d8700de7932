"""The composition root: the `sendlens` command. The only file that sees every room."""


def main() -> None:
    raise SystemExit("sendlens: being built")
