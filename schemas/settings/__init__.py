"""Every setting, and how it is read."""

from schemas.settings.reading import is_loopback, kept_keyring, load
from schemas.settings.settings import Settings

__all__ = ["Settings", "is_loopback", "kept_keyring", "load"]
