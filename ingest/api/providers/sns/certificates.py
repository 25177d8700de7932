"""The certificates that Amazon SNS signs with.

What vouches for one is the TLS connection to SNS's own host in the topic's region, and that alone. SNS serves the leaf
without the intermediate certificates, so its chain can't be built here, and is not verified.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from ingest.api.providers.sns.fetch import Fetch, FetchBudget
from ingest.api.providers.sns.topic import SnsTopic
from schemas.errors import Reject, Retry
from stream.keyed_lock import KeyedLock

_KEPT = 20  # certificates; a region has one, and another after some months
_REMEMBERED_SECONDS = 60.0  # for which one that could not be had is not asked for again
_PEM = re.compile(rb"(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*")
_UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm),
    *(x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)


class SigningCertificates:
    """Fetches certificates, and keeps those that are good.

    The address stands in a message that is not verified yet. So fetches have a budget, those of the same address wait
    for one, and a failure is remembered for a minute.
    """

    def __init__(self, fetch: Fetch, budget: FetchBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._budget = budget
        self._clock = clock
        self._locks = KeyedLock()
        self._kept: dict[str, x509.Certificate] = {}
        self._failed: dict[str, tuple[float, Reject | Retry]] = {}

    async def key_of(self, url: str, topic: SnsTopic, now: datetime) -> rsa.RSAPublicKey:
        """The key of the certificate at this address. Raises Reject unless it is one of SNS in the topic's region, and
        valid now; Retry while it can't be had."""
        topic.check_certificate_url(url)
        async with self._locks.of(url):
            certificate = self._kept.get(url)
            if certificate is None or not _is_valid(certificate, now):
                certificate = await self._fetched(url, topic, now)
        return _rsa(certificate)

    async def _fetched(self, url: str, topic: SnsTopic, now: datetime) -> x509.Certificate:
        self._forget()
        if (failed := self._failed.get(url)) is not None:
            raise failed[1].with_traceback(None)
        self._budget.spend()
        try:
            found = _read(await self._fetch(url), topic, now)
        except (Reject, Retry) as error:
            self._failed[url] = (self._clock(), error)
            raise
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[url] = found
        return found

    def _forget(self) -> None:
        """No more than the budget of a minute fails in one."""
        old = self._clock() - _REMEMBERED_SECONDS
        self._failed = {url: failed for url, failed in self._failed.items() if failed[0] > old}


def _read(body: bytes, topic: SnsTopic, now: datetime) -> x509.Certificate:
    """The certificate that a file in PEM begins with. Raises Reject."""
    if _PEM.fullmatch(body) is None:
        raise Reject("signature", "SigningCertURL leads to no certificate in PEM")
    try:
        found = x509.load_pem_x509_certificate(body)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        is_of_sns = not topic.certificate_names.isdisjoint(names.get_values_for_type(x509.DNSName))
        _rsa(found)
    except _UNREADABLE:
        raise Reject("signature", "SigningCertURL leads to a certificate that can't be read") from None
    if not is_of_sns:
        raise Reject("signature", "the certificate of its signature is not of Amazon SNS in the topic's region")
    if not _is_valid(found, now):
        raise Reject("signature", "the certificate of its signature is not valid today: look at the clock here")
    return found


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _rsa(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Reject("signature", "the certificate of its signature has no RSA key")
    return key
