"""Signed tokens: who an incoming hit, reply or bounce belongs to, provable without a lookup.

Layout, big-endian, before encoding: key id (1 byte), purpose (1), delivery id (16), minted-at (4, epoch seconds),
then for all but `bounce` step (1) and variant, campaign, lead (each a length byte and UTF-8), for `unsubscribe` the
lists of the email alike, where it names any, then a truncated HMAC-SHA-256 over everything before it. URLs and the
Message-ID carry base64url; the VERP return path carries the short form in base32, because a local part is at most 64
octets (RFC 5321, 4.5.3.1.1) and may lose its case on the way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from uuid import UUID, uuid5

from msgspec import Struct

from schemas.errors import Misconfigured, Reject

# The namespace of our UUIDv5 ids. Any fixed UUID would do; changing it would make every old email look unsent.
NAMESPACE = UUID("5e9d1e75-0b0e-5c1a-9a0e-6c3f5d1f7a10")
_NAMESPACE = NAMESPACE.bytes

# The delivery of the mails that an installation sends to itself, to see that they come back: nothing follows from what
# is about it. No campaign has it, for the name of a delivery has separators.
PROBE = uuid5(NAMESPACE, "probe")

MAC_BYTES = 16  # 128 bits: far beyond guessing over HTTP
VERP_MAC_BYTES = 12  # what fits: "bounce+" and 34 bytes in base32 are 62 octets of the 64 allowed
MAX_TEXT_BYTES = 64  # of campaign, lead and variant ids each; keeps the longest token under 300 characters
MAX_LISTS = 4  # of an email, each as long: keeps that of unsubscribing under 650, and its header's line under 998
MIN_SECRET_BYTES = 16

_HEAD = struct.Struct(">BB16sI")
# A token's length in characters: the least that could hold a claim, and more than the longest.
_SHORTEST, _LONGEST = 20, 700
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/   ")  # to the alphabet that binascii reads, which has no space
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*+")
_LINK_ID = re.compile(r"[0-9a-f]{64}(?![0-9A-Za-z])")
_BASE32 = re.compile(r"[A-Za-z2-7]{20,80}")


class Purpose(IntEnum):
    """What a token may be used for; part of the MAC, so that an open token can never unsubscribe anyone."""

    OPEN = 1
    CLICK = 2
    UNSUBSCRIBE = 3
    MESSAGE = 4
    BOUNCE = 5


class Claim(Struct, frozen=True):
    """What a verified token says. `minted_at` is in epoch seconds, the moment the email was instrumented; `lists` are
    those that an unsubscribe link offers to leave."""

    delivery_id: UUID
    campaign: str
    step: int
    variant: str
    lead: str
    minted_at: int
    lists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BounceClaim:
    """What a verified VERP token says: it has room for the delivery alone."""

    delivery_id: UUID
    minted_at: int


class BadToken(Reject):
    """A token that proves nothing. `reason` is one of malformed, key, purpose, signature."""


def delivery_id(campaign: str, step: int, lead: str) -> UUID:
    """The id of one email: the same campaign, step and lead always give the same id, so a repeat is recognised."""
    return uuid5(NAMESPACE, "\x1f".join((campaign, str(step), lead)))


def event_id(cause: UUID | str, kind: str) -> UUID:
    """The id of an event derived from its cause, so that a replay writes the same id."""
    return uuid5(NAMESPACE, f"{cause}\x1f{kind}")


def event_id_text(cause: str, kind: str) -> str:
    """`event_id` in its 36 characters, in a third of the time that uuid5 takes (RFC 9562, 5.5)."""
    raw = bytearray(hashlib.sha1(_NAMESPACE + f"{cause}\x1f{kind}".encode(), usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True)
class Keyring:
    """Signs with its first key and verifies with all.

    A new key comes last first, so that every process verifies it; once all do, it is moved to the front and signs
    (`sendlens token-keys`). Put in front at once, its links are unknown to processes that have not started again yet.
    """

    keys: Mapping[int, bytes]

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read `id:secret` pairs separated by commas, newest first; ids are 0 to 255, secrets at least 16 bytes.

        Raises Misconfigured with what to fix; never repeats a secret in a message.
        """
        keys: dict[int, bytes] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, colon, secret = pair.partition(":")
            if not colon or not name.isdigit() or int(name) > 255:
                raise Misconfigured("SENDLENS_TOKEN_KEYS: write id:secret pairs separated by commas, ids 0 to 255")
            if len(secret.encode()) < MIN_SECRET_BYTES:
                raise Misconfigured(f"SENDLENS_TOKEN_KEYS: the secret of key {name} is shorter than 16 bytes")
            if int(name) in keys:
                raise Misconfigured(f"SENDLENS_TOKEN_KEYS: key id {name} is given twice")
            keys[int(name)] = secret.encode()
        if not keys:
            raise Misconfigured(
                "SENDLENS_TOKEN_KEYS is empty: set it to id:secret, for example 1:$(openssl rand -hex 32)"
            )
        return cls(keys)

    @cached_property
    def _first(self) -> tuple[int, bytes]:
        return next(iter(self.keys.items()))

    @cached_property
    def _macs(self) -> dict[int, hmac.HMAC]:
        """Each key's HMAC, keyed once: a copy costs less than keying, and does not let go of the interpreter lock."""
        return {key_id: hmac.new(key, digestmod=hashlib.sha256) for key_id, key in self.keys.items()}

    def _mac(self, key_id: int, body: bytes | bytearray, length: int) -> bytes:
        mac = self._macs[key_id].copy()
        mac.update(body)
        return mac.digest()[:length]

    @cached_property
    def _link_key(self) -> bytes:
        return _link_key(self._first[1])

    def sign(self, purpose: Purpose, claim: Claim) -> str:
        """Make the token of a pixel, link, unsubscribe or Message-ID. Raises Reject when an id is too long."""
        key_id, _ = self._first
        head = _HEAD.pack(key_id, purpose, claim.delivery_id.bytes, claim.minted_at)
        lists = map(_measured, claim.lists) if purpose is Purpose.UNSUBSCRIBE else ()
        body = b"".join((head, _of_variant(claim.step, claim.variant, claim.campaign), _measured(claim.lead), *lists))
        token = binascii.b2a_base64(body + self._mac(key_id, body, MAC_BYTES), newline=False)
        return token.translate(_TO_URL).rstrip(b"=").decode()

    def verify(self, purpose: Purpose, token: str) -> Claim:
        """Say what the token proves for this purpose, or raise BadToken. Takes any text whatever."""
        if not _SHORTEST <= len(token) <= _LONGEST:
            raise BadToken("malformed")
        try:
            spelt = token.encode("ascii").translate(_FROM_URL) + b"=" * (-len(token) % 4)
            raw = binascii.a2b_base64(spelt)
        except ValueError:
            raise BadToken("malformed") from None
        if binascii.b2a_base64(raw, newline=False) != spelt:  # one claim has one spelling
            raise BadToken("malformed")
        body = self._open(raw, purpose, MAC_BYTES)
        _, _, delivery, minted_at = _HEAD.unpack_from(body)
        try:
            step, variant_at = body[_HEAD.size], _HEAD.size + 2
            campaign_at = variant_at + body[variant_at - 1] + 1
            lead_at = campaign_at + body[campaign_at - 1] + 1
            lead_end = lead_at + body[lead_at - 1]
            lists = tuple(_texts(body, lead_end))
            if lists and purpose is not Purpose.UNSUBSCRIBE:
                raise BadToken("malformed")
            variant, campaign = body[variant_at : campaign_at - 1].decode(), body[campaign_at : lead_at - 1].decode()
            lead = body[lead_at:lead_end].decode()
        except (IndexError, UnicodeDecodeError):
            raise BadToken("malformed") from None
        return Claim(UUID(bytes=delivery), campaign, step, variant, lead, minted_at, lists)

    def verify_published(self, purpose: Purpose, text: str) -> Claim:
        """As `verify`, of a token at the end of an address that came by mail, where more may have got into the address.

        Mail clients and people take what stands after an address for a part of it: a bracket, a quotation mark, the
        stop of a sentence, the mark of emphasis.
        """
        token = found[0] if (found := _URL_SAFE.match(text)) else ""
        try:
            return self.verify(purpose, token)
        except BadToken:
            if token[-1:] not in ("_", "-"):
                raise
            return self.verify(purpose, token[:-1])

    def sign_bounce(self, claim: Claim) -> str:
        """Make the VERP token: base32 in lower case, 55 characters."""
        key_id, _ = self._first
        body = _HEAD.pack(key_id, Purpose.BOUNCE.value, claim.delivery_id.bytes, claim.minted_at)
        return base64.b32encode(body + self._mac(key_id, body, VERP_MAC_BYTES)).rstrip(b"=").decode().lower()

    def verify_bounce(self, token: str) -> BounceClaim:
        """Say which delivery a VERP token proves, in whatever case it came back, or raise BadToken."""
        if not _BASE32.fullmatch(token):
            raise BadToken("malformed")
        try:
            raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except (binascii.Error, ValueError):
            raise BadToken("malformed") from None
        body = self._open(raw, Purpose.BOUNCE, VERP_MAC_BYTES)
        if len(body) != _HEAD.size:
            raise BadToken("malformed")
        _, _, delivery, minted_at = _HEAD.unpack(body)
        return BounceClaim(UUID(bytes=delivery), minted_at)

    def link_id(self, campaign: str, url: str) -> str:
        """The id of a wrapped link: 64 hex digits of a keyed SHA-256, from which nobody can read the destination."""
        return self._link_ids(f"{campaign}\x1f{url}")

    @cached_property
    def _link_ids(self) -> Callable[[str], str]:
        """A campaign's emails have the same links: those of the last few campaigns are made once."""
        key = self._link_key

        @lru_cache(maxsize=5_000)
        def link_id(name: str) -> str:
            return hmac.digest(key, name.encode("utf-8", "surrogatepass"), "sha256").hex()

        return link_id

    def honeypots(self, campaign: str) -> tuple[str, ...]:
        """The ids of the link of a campaign that no person can see, newest key first; the first is today's.

        They look like any other link's: nobody can tell which link to leave alone.
        """
        name = f"{campaign}\x1f\x1fhoneypot".encode("utf-8", "surrogatepass")
        return tuple(hmac.digest(_link_key(secret), name, "sha256").hex() for secret in self._newest_first)

    def address_ids(self, address: str) -> tuple[str, ...]:
        """The keyed hashes by which an address is known, newest key first; the first is written, all are looked up.

        32 hex digits, of the address in lower case: who has the hashes but not the keys can't test addresses.
        """
        return self._hashes("sendlens address", address.strip().lower())

    def domain_ids(self, domain: str) -> tuple[str, ...]:
        """The keyed hashes of a domain in lower case, newest key first, then those of the domains above it down to two
        labels: what is known of `example.com` holds for `mail.example.com`. The first is written, all are looked up."""
        return self._domain_hashes(domain)

    def ip_id(self, ip: str) -> str:
        """The keyed hash that is kept of a client's address where the address is not. 24 hex digits: it tells sources
        apart, and who has the hashes but not the keys can't try all addresses."""
        return self._hashes("sendlens ip", ip)[0][:24]

    def lead_ids(self, lead: str) -> tuple[str, ...]:
        """The keyed hashes by which an erased lead's id is known again, newest key first. 32 hex digits."""
        return self._hashes("sendlens lead", lead)

    @cached_property
    def _hashes(self) -> Callable[[str, str], tuple[str, ...]]:
        """An email asks for the same ones several times: when it is gated, built, and told of."""

        @lru_cache
        def keys(purpose: str) -> tuple[bytes, ...]:
            return tuple(hmac.digest(secret, purpose.encode(), "sha256") for secret in self._newest_first)

        @lru_cache(maxsize=1_000)
        def hashes(purpose: str, name: str) -> tuple[str, ...]:
            raw = name.encode("utf-8", "surrogatepass")
            return tuple(hmac.digest(key, raw, "sha256").hex()[:32] for key in keys(purpose))

        return hashes

    def fingerprints(self) -> dict[str, str]:
        """By each key's id, what tells it from others and gives nothing of it away: 16 hex digits."""
        return {
            str(key_id): hmac.digest(secret, b"sendlens fingerprint", "sha256").hex()[:16]
            for key_id, secret in self.keys.items()
        }

    @cached_property
    def _domain_hashes(self) -> Callable[[str], tuple[str, ...]]:
        """Most recipients share a few domains."""

        @lru_cache(maxsize=10_000)
        def hashes(domain: str) -> tuple[str, ...]:
            labels = domain.split(".")
            above = [".".join(labels[at:]) for at in range(max(1, len(labels) - 1))]
            return tuple(found for name in above for found in self._hashes("sendlens domain", name))

        return hashes

    def webhook_secrets(self, endpoint: str) -> tuple[bytes, ...]:
        """The secrets that an endpoint's payloads are signed with, newest key first; the first is the one to give."""
        name = f"sendlens webhook\x1f{endpoint}".encode()
        return tuple(hmac.digest(secret, name, "sha256") for secret in self._newest_first)

    @cached_property
    def _newest_first(self) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(self.keys.values()))

    def _open(self, raw: bytes, purpose: Purpose, mac_bytes: int) -> bytes:
        """Check key, MAC and purpose; return what was signed."""
        body, mac = raw[:-mac_bytes], raw[-mac_bytes:]
        if len(body) < _HEAD.size:
            raise BadToken("malformed")
        if body[0] not in self.keys:
            raise BadToken("key")
        if not hmac.compare_digest(self._mac(body[0], body, mac_bytes), mac):
            raise BadToken("signature")
        if body[1] != purpose:
            raise BadToken("purpose")
        return body


@lru_cache(maxsize=1_000)
def _of_variant(step: int, variant: str, campaign: str) -> bytes:
    """What the tokens of a variant's emails have in common. Raises Reject."""
    if not 0 <= step <= 255:
        raise Reject("step-out-of-range", "a step is 0 to 255")
    return bytes((step,)) + _measured(variant) + _measured(campaign)


def _measured(text: str) -> bytes:
    """The text behind its length. Raises Reject when it is too long."""
    raw = text.encode()
    if len(raw) > MAX_TEXT_BYTES:
        raise Reject("id-too-long", f"campaign, lead and variant ids, and lists, are at most {MAX_TEXT_BYTES} bytes")
    return bytes((len(raw),)) + raw


def _texts(body: bytes, at: int) -> Iterator[str]:
    """The texts from there to the end, each behind its length. Raises BadToken where one ends elsewhere."""
    if at > len(body):
        raise BadToken("malformed")
    while at < len(body):
        end = at + 1 + body[at]
        if end > len(body) or not body[at]:
            raise BadToken("malformed")
        yield body[at + 1 : end].decode()
        at = end


def published_link_id(text: str) -> str:
    """The link id at the end of an address that came by mail, without what mail clients and people add."""
    found = _LINK_ID.match(text)
    return found[0] if found else text


def _link_key(secret: bytes) -> bytes:
    return hmac.digest(secret, b"sendlens link", "sha256")
