"""Asks an authorization server for an access token by a refresh token (RFC 6749, 6). What it answers is a value."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

import aiohttp
import msgspec
from msgspec import Struct

from schemas.certificates import tls_context, with_advice
from schemas.errors import UNREADABLE, Misconfigured
from schemas.senders import GrantSecrets
from schemas.text import one_line

SECONDS = 10.0  # for the whole of it
_MOST_BYTES = 64 * 1024
_MOST_SECONDS = 30 * 86_400.0
# RFC 6749, 5.1 only recommends `expires_in`. Without it a token is renewed often, which harms nothing.
_UNSAID_SECONDS = 600.0
# RFC 6749, A.12 and A.17: printable ASCII. Anything else could end the SASL message that it is put into.
_TOKEN = re.compile(r"[\x20-\x7e]{1,16384}")
_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,60}")
# https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
_MICROSOFT_CODE = re.compile(r"AADSTS\d{4,8}")

_CONSENT = "have the mailbox's owner consent again, and put the new refresh token into {name}"
_CLIENT = "check the client id and the client secret of this grant: a secret may have expired"
_APPLICATION = "check `scope` and `tenant`, and what the application may do at the authorization server"
# RFC 6749, 5.2, OpenID Connect Core, 3.1.2.6, and what Google and Microsoft add. Asking again gives the same answer
# until somebody has done what stands here. Any other error may pass.
_ADVICE = {
    "invalid_grant": _CONSENT,
    "interaction_required": _CONSENT,
    "consent_required": _CONSENT,
    "login_required": _CONSENT,
    "access_denied": _CONSENT,
    "invalid_client": _CLIENT,
    "deleted_client": _CLIENT,
    "disabled_client": _CLIENT,
    "unauthorized_client": _APPLICATION,
    "unsupported_grant_type": _APPLICATION,
    "invalid_request": _APPLICATION,
    "invalid_scope": _APPLICATION,
    "invalid_resource": _APPLICATION,
    "admin_policy_enforced": _APPLICATION,
    "org_internal": _APPLICATION,
}


@dataclass(frozen=True, slots=True)
class Renewed:
    """A token that is valid for so many seconds. `refresh_token` is the one to use from now on, empty for the same."""

    access_token: str = field(repr=False)
    seconds: float
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GrantRefused:
    """Asking again gives the same answer. `why` names the error and what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class NotRenewed:
    """It may be granted later; not before `wait` seconds have passed, if the server says so."""

    why: str
    wait: float = 0.0


class _TokenResponse(Struct):
    """RFC 6749, 5.1 and 5.2. Old endpoints write the number as text."""

    access_token: str = ""
    token_type: str = ""
    expires_in: float | str | None = None
    refresh_token: str | None = None
    error: str = ""
    error_description: str | None = None


def ask(grant: GrantSecrets, ca_file: str = "", seconds: float = SECONDS) -> Renewed | GrantRefused | NotRenewed:
    """One request, of so many seconds at the most. Nothing is raised. Not for a thread that runs an event loop."""
    try:
        status, wait, body = asyncio.run(_post(grant, ca_file, seconds))
    except TimeoutError:
        return NotRenewed("no answer in time")
    except Misconfigured as error:
        return NotRenewed(str(error))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return NotRenewed(one_line(f"{type(error).__name__}: {with_advice(error)}")[:500])
    return read(grant, status, body, wait)


def read(grant: GrantSecrets, status: int, body: bytes, wait: float = 0.0) -> Renewed | GrantRefused | NotRenewed:
    """What the server says. Of its description only a code is repeated: the rest may name people."""
    try:
        answer = msgspec.json.decode(body, type=_TokenResponse)
    except UNREADABLE:
        return NotRenewed(f"status {status}, and no answer of a token endpoint", wait)
    if answer.error or status != 200:
        error = answer.error if _ERROR.fullmatch(answer.error) else "an error without a name"
        code = _MICROSOFT_CODE.search((answer.error_description or "")[:2000])
        said = f"status {status}, {error}{f' {code[0]}' if code else ''}"
        if answer.error in _ADVICE and 400 <= status < 500 and status != 429:
            return GrantRefused(f"{said}: {_ADVICE[answer.error].format(name=grant.name)}")
        return NotRenewed(said, wait)
    if answer.token_type.lower() != "bearer":
        return NotRenewed("it gives no bearer token")
    if not _TOKEN.fullmatch(answer.access_token) or not _TOKEN.fullmatch(answer.refresh_token or "-"):
        return NotRenewed("a token of its answer is not of printable ASCII")
    return Renewed(answer.access_token, _seconds(answer.expires_in), answer.refresh_token or "")


async def _post(grant: GrantSecrets, ca_file: str, seconds: float) -> tuple[int, float, bytes]:
    form = {"grant_type": "refresh_token", "client_id": grant.client_id, "refresh_token": grant.refresh_token}
    form |= {"client_secret": grant.client_secret} if grant.client_secret else {}
    form |= {"scope": grant.scope} if grant.scope else {}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls_context(ca_file)),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sendlens", "Accept": "application/json"},
        ) as session,
        session.post(grant.token_url, data=form, allow_redirects=False) as response,
    ):
        body = b""
        async for chunk in response.content.iter_chunked(_MOST_BYTES):
            body += chunk
            if len(body) > _MOST_BYTES:
                raise ValueError("the answer is too long")
        asked = response.headers.get("Retry-After", "").strip()
        return response.status, float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 0.0, body


def _seconds(said: float | str | None) -> float:
    try:
        seconds = float(said or 0)
    except ValueError:
        seconds = 0.0
    return min(seconds, _MOST_SECONDS) if seconds > 0 else _UNSAID_SECONDS
