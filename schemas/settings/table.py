"""Writes the settings where people look: `.env.example`, docs/settings.md. `python -m schemas.settings.table`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
ENV_EXAMPLE = ROOT / ".env.example"
DOCUMENT = ROOT / "docs" / "settings.md"

_BEGIN, _END = "<!-- settings: written by `python -m schemas.settings.table` -->", "<!-- /settings -->"

# What docker-compose.yml reads beside the settings. Name, example value, what it is.
COMPOSE = (
    ("GRAFANA_ADMIN_PASSWORD", "", "Password of Grafana's user `admin`. Needed."),
    ("SENDERS_FILE", "/dev/null", "Your senders.toml; passwords that it names stand in senders.env beside it."),
    ("INGEST_LISTEN", "127.0.0.1:8080", "Where ingest listens on the host; your TLS proxy stands in front."),
    ("GRAFANA_LISTEN", "127.0.0.1:3000", "Where Grafana listens on the host."),
    ("CLICKHOUSE_LISTEN", "127.0.0.1:8123", "Where ClickHouse listens on the host."),
)


def env_example() -> str:
    """The text of `.env.example`: every setting with its default, commented out."""
    lines = [
        "# Every setting of Sendlens with its default. Copy to .env and uncomment what you change: both `sendlens` and",
        "# docker compose read it. Written by `python -m schemas.settings.table` from schemas/settings/settings.py.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        lines += [*_wrapped(_about(field)), f"# {variable(name)}={field.default}", ""]
    lines += ["# What docker-compose.yml reads besides.", ""]
    for name, example, about in COMPOSE:
        lines += [*_wrapped(about), f"# {name}={example}", ""]
    return "\n".join(lines)


def markdown() -> str:
    """The table of docs/settings.md."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if str(field.default) else ""
        rows.append(f"| `{variable(name)}` | {default} | {_about(field).replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def in_document(text: str) -> str:
    """The document's text with the table in its place. Raises ValueError when the place is not marked."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"docs/settings.md has no place for the settings: a line {_BEGIN}, then a line {_END}")
    return f"{before}{_BEGIN}\n{markdown()}\n{_END}{after}"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


def _about(field: FieldInfo) -> str:
    """The description; the values to choose from where it does not say them all."""
    about = field.description or ""
    values = [f"`{value}`" for value in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
    if all(value in about for value in values):
        return about
    return f"{about} One of {', '.join(values)}."


def _wrapped(text: str, width: int = 118) -> Iterator[str]:
    """The text as comment lines."""
    for line in re.findall(rf"\S.{{0,{width - 1}}}(?=\s|$)", text):
        yield f"# {line}"


def main() -> None:
    """Rewrite both files."""
    ENV_EXAMPLE.write_text(env_example())
    DOCUMENT.write_text(in_document(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
