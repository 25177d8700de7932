"""How the settings are read: the environment, the secrets that an installation makes for itself, and what no single
field can check."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from schemas.data_folder import close_to_others, keep_secret, read_secret
from schemas.errors import Misconfigured
from schemas.settings.settings import Settings
from schemas.tokens import Keyring

# The secrets that an embedded installation makes for itself, each in a file of its setting's name, and how. A backup
# takes them along.
MADE_SECRETS = {
    "token_keys": lambda: f"1:{secrets.token_hex(32)}",
    "clickhouse_password": lambda: secrets.token_hex(16),
    "clickhouse_reader_password": lambda: secrets.token_hex(16),
}


def load(**overrides: object) -> Settings:
    """Read the settings and check what no single field can. Raises Misconfigured naming each setting to fix."""
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        wrong = "; ".join(f"SENDLENS_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise Misconfigured(wrong) from None
    if settings.mode == "cluster":
        if not settings.token_keys:
            raise Misconfigured("SENDLENS_TOKEN_KEYS is not set: outside embedded mode secrets come from you")
        if not settings.callers:
            raise Misconfigured("SENDLENS_API_KEY is not set: outside embedded mode /v1 needs a key")
    else:
        close_to_others(settings.data_dir)
        own = {
            name: keep_secret(settings.data_dir, name, make)
            for name, make in MADE_SECRETS.items()
            if not getattr(settings, name)
        }
        settings = settings.model_copy(update=own)
        if "relay_list_url" not in settings.model_fields_set:  # one machine, to look on: it asks nobody outside
            settings = settings.model_copy(update={"relay_list_url": ""})
    if not settings.callers and not is_loopback(settings.ingest_host):
        raise Misconfigured("SENDLENS_API_KEY is not set: /v1 is open without a key on loopback only")
    settings.keyring  # noqa: B018  # raises now, not at the first hit
    return settings


class _KeySettings(BaseSettings):
    """Where keys may be, and nothing that could be set wrongly besides."""

    model_config = Settings.model_config

    data_dir: Path = Path("var")
    token_keys: str = ""


def kept_keyring() -> Keyring | None:
    """The token keys that are there: set, or made by an earlier run of this installation. None where there are none.

    Unlike `load` it makes no key and asks nothing of other settings. Raises Misconfigured for keys that can't be read.
    """
    kept = _KeySettings()
    text = kept.token_keys or read_secret(kept.data_dir, "token_keys")
    return Keyring.parse(text) if text else None


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine and can't be another."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
