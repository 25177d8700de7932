"""Do recipients reach us by a tracking domain? Its DNS, its certificate, and an answer of our own through it."""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from commands.doctor.diagnosis import Diagnosis
from commands.doctor.names import Names
from ingest.hits.hits import PIXEL
from schemas.certificates import advice_on
from schemas.senders import Account
from schemas.settings import Settings, is_loopback
from schemas.settings.tracking import host_of, is_public
from schemas.text import one_line
from schemas.tokens import PROBE, Claim, Keyring, Purpose

_CHECK = "tracking"
_SECONDS = 10.0
_MOST_ADDRESSES = 4
_ANSWER_BYTES = 1 << 16
_RENEWED_DAYS = 7  # what renews certificates does so weeks before
_PORTS = {"http": 80, "https": 443}
_TLS_TODO = (
    "see that what ends TLS has a certificate of {host}: deploy/Caddyfile has it made when it is first asked for"
)


@dataclass(frozen=True, slots=True)
class TrackingAnswer:
    """What came back through a domain."""

    status: int
    body: bytes
    location: str
    expires: datetime | None


def tracking_urls(settings: Settings, accounts: Iterable[Account], more: Iterable[str] = ()) -> list[str]:
    """Every address that emails of these accounts may begin with, each once: theirs, and that of the installation
    where one has none."""
    found = [account.tracking_url or settings.public_url for account in accounts]
    return list(dict.fromkeys([*(url for url in found if is_public(host_of(url))), *more]))


def tracking_records(
    url: str, public_url: str, keyring: Keyring, names: Names, context: ssl.SSLContext
) -> Iterator[Diagnosis]:
    """What a recipient meets who follows a link that begins with `url`. Raises DNSException without an answer."""
    host, public = host_of(url), host_of(public_url)
    addresses = names.addresses(host)
    put = _record(host, public)
    if not addresses:
        alias = names.canonical(host)
        said = f"{host} leads to {alias}, which has no address" if alias else f"{host} has no record in DNS"
        yield Diagnosis(_CHECK, "fail", said, put)
        return
    where = f"{host} leads to {', '.join(addresses)}"
    found = list(_asked(url, addresses, keyring, context))
    # A proxy that others run in front of us has addresses of its own: what counts is who answers.
    ours = host == public or names.canonical(host) == public or set(addresses) & set(names.addresses(public))
    if ours or all(one.verdict != "fail" for one in found):
        yield Diagnosis(_CHECK, "ok", where)
    else:
        yield Diagnosis(_CHECK, "fail", f"{where}, not to {public}", put)
    yield from found


def _record(host: str, public: str) -> str:
    """What to put into DNS."""
    if host == public:
        return f"add `{host}. A ADDRESS`, with the address of your proxy"
    if is_loopback(public):
        return "set SENDLENS_PUBLIC_URL to a name that leads here, then add a CNAME to it"
    return f"make it `{host}. CNAME {public}.`" if is_public(public) else f"make it `{host}. A {public}`"


def _asked(url: str, addresses: list[str], keyring: Keyring, context: ssl.SSLContext) -> Iterator[Diagnosis]:
    """The pixel and a page of ours, asked for as recipients do."""
    host = host_of(url)
    if url.startswith("http:"):
        yield Diagnosis(_CHECK, "warn", f"{url} is http: links are warned of, and read on the way", "put TLS before it")
    try:
        pixel = _get(f"{url}/o/check.gif", addresses, context)
        claim = Claim(PROBE, "probe", 0, "", secrets.token_hex(8), int(time.time()))
        page = _get(f"{url}/u/{keyring.sign(Purpose.UNSUBSCRIBE, claim)}", addresses, context)
    except ssl.SSLError as error:
        said = f"TLS of {host} fails: {one_line(str(error))[:200]}"
        advice = "; ".join(filter(None, (advice_on(error), _TLS_TODO.format(host=host))))
        yield Diagnosis(_CHECK, "fail", said, advice)
        return
    except (OSError, http.client.HTTPException) as error:
        port = urlsplit(url).port or _PORTS[urlsplit(url).scheme]
        said = f"nothing of use answers at port {port} of {host}: {one_line(str(error))[:200] or type(error).__name__}"
        yield Diagnosis(_CHECK, "fail", said, "see that the proxy runs there, and that the port is open to everybody")
        return
    yield from _certificate(host, pixel)
    yield _answered(host, pixel, page)


def _certificate(host: str, answer: TrackingAnswer) -> Iterator[Diagnosis]:
    if answer.expires is None:
        return
    said = f"the certificate of {host} verifies, until {answer.expires:%Y-%m-%d}"
    if (answer.expires - datetime.now(UTC)).days < _RENEWED_DAYS:
        yield Diagnosis(_CHECK, "warn", said, "see why it was not renewed: what the proxy logs, and DNS of its name")
    else:
        yield Diagnosis(_CHECK, "ok", said)


def _answered(host: str, pixel: TrackingAnswer, page: TrackingAnswer) -> Diagnosis:
    """Whether that was this installation: only who has our keys knows the page's token."""
    for answer in (pixel, page):
        if answer.location:
            todo = "let recipients' paths be answered there, not redirected"
            return Diagnosis(_CHECK, "fail", f"{host} redirects to {one_line(answer.location)[:200]}", todo)
    if pixel.status == 200 and pixel.body == PIXEL:
        if page.status == 200:
            return Diagnosis(_CHECK, "ok", f"{host} shows the pixel and the page to unsubscribe")
        said = f"{host} shows a pixel, and not the page to unsubscribe (status {page.status})"
        todo = "let the proxy pass /o/, /c/ and /u/ on to this installation; another one has other keys"
        return Diagnosis(_CHECK, "fail", said, todo)
    said = f"{host} shows no pixel of ours (status {pixel.status})"
    if pixel.status == 404:
        todo = (
            "if ingest answers there, it does not know this host: restart it after a change of senders.toml, or name "
            "the host in SENDLENS_TRACKING_HOSTS; if not, let the proxy pass /o/, /c/ and /u/ on to it"
        )
        return Diagnosis(_CHECK, "fail", said, todo)
    return Diagnosis(_CHECK, "fail", said, "let the proxy pass /o/, /c/ and /u/ on to ingest")


def _get(url: str, addresses: list[str], context: ssl.SSLContext) -> TrackingAnswer:
    """One request by the host's name to the first of its addresses that lets us connect. Raises OSError, SSLError among
    them, and HTTPException."""
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    line = _connected(addresses[:_MOST_ADDRESSES], port)
    expires = None
    if parts.scheme == "https":
        try:
            secured = context.wrap_socket(line, server_hostname=parts.hostname)
        except BaseException:
            line.close()
            raise
        until = (secured.getpeercert() or {}).get("notAfter")
        expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(until)), UTC) if until else None
        line = secured
    with closing(http.client.HTTPConnection(parts.netloc)) as connection:
        connection.sock = line
        connection.request("GET", parts.path, headers={"Host": parts.netloc, "User-Agent": "sendlens check"})
        answer = connection.getresponse()
        location = answer.headers.get("Location", "") if 300 <= answer.status < 400 else ""
        return TrackingAnswer(answer.status, answer.read(_ANSWER_BYTES), location, expires)


def _connected(addresses: list[str], port: int) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout=_SECONDS)
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), timeout=_SECONDS)
