"""API keys: made at random, kept as SHA-256, compared in constant time, each good for what its scopes say.

A key has 256 random bits, so a plain hash of it can't be guessed back; slow hashes are for passwords.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import Misconfigured

SCOPES = ("campaigns", "sends", "read", "export", "page", "webhooks", "suppressions", "metrics")
# The fewest characters of a key that somebody made: what 128 random bits have in base64.
LEAST = 22
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may call, for what; the key itself is not kept. `name` goes into logs and metrics."""

    name: str
    scopes: frozenset[str]
    digest: bytes


def new_key() -> tuple[str, str]:
    """A new key, and what is kept of it."""
    key = f"sl_{secrets.token_urlsafe(32)}"
    return key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def digest_of(text: str) -> bytes:
    """The hash of a key that is given either as itself or as what is kept of it."""
    hashed = _HASHED.fullmatch(text)
    return bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(text.encode()).digest()


def whole(text: str) -> ApiKey:
    """The key to everything, given as itself or as its hash. Raises Misconfigured for one that could be guessed."""
    if not _HASHED.fullmatch(text) and (len(text) < LEAST or text.startswith("sha256:")):
        raise Misconfigured(
            f"SENDLENS_API_KEY: neither {LEAST} characters or more nor sha256: and the 64 digits of a hash; "
            "`openssl rand -hex 32` makes a key"
        )
    return ApiKey("api-key", frozenset(SCOPES), digest_of(text))


def parse(text: str) -> list[ApiKey]:
    """Read `name=scope+scope=sha256:HASH,...`. Raises Misconfigured; never with what might be a key."""
    keys: list[ApiKey] = []
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, _, rest = entry.partition("=")
        scopes, _, hashed = rest.partition("=")
        asked = frozenset(scopes.split("+"))
        if not _NAME.fullmatch(name) or not _HASHED.fullmatch(hashed) or not asked <= set(SCOPES):
            raise Misconfigured(
                f"SENDLENS_API_KEYS: entry {number} is not name=scope+scope=sha256:HASH with scopes of "
                f"{', '.join(SCOPES)}; `sendlens key NAME` makes one"
            )
        if name in (key.name for key in keys):
            raise Misconfigured(f"SENDLENS_API_KEYS: entry {number} has the name of another")
        keys.append(ApiKey(name, asked, digest_of(hashed)))
    return keys


def find(keys: Iterable[ApiKey], given: bytes) -> ApiKey | None:
    """The key that was given. Takes as long whichever it is, or for a wrong one."""
    digest = hashlib.sha256(given).digest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found
