"""Whose TLS certificates are believed: those of this machine's authorities, and of a private one that is named.

What is wrong with a certificate is told as what to do about it.
"""

from __future__ import annotations

import ssl

from schemas.errors import Misconfigured

# What OpenSSL says of a certificate that does not verify (X509_verify_cert_error_string(3)), and what to do.
_ADVICE = (
    (
        ("self-signed certificate", "self signed certificate", "unable to get local issuer", "unable to verify"),
        "its authority is not known here: name its certificate (PEM) in SENDLENS_CA_FILE, or for one server as "
        "`ca_file` in senders.toml",
    ),
    (("certificate has expired",), "it has expired: have the server's certificate renewed, and look at the clock here"),
    (("not yet valid",), "it is not valid yet: look at the clock here, and at the server's"),
    (
        ("hostname mismatch", "ip address mismatch", "doesn't match"),
        "it is another name's: use a host name that the certificate has",
    ),
    (("certificate revoked",), "it was revoked: have the server's certificate replaced"),
    (("wrong_version_number", "wrong version number"), "it speaks no TLS there: check the port, and `tls`"),
)


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """What a client verifies servers with: this machine's authorities, and those of `ca_file` (PEM) beside them.

    Raises Misconfigured when the file can't be read or has no certificate.
    """
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise Misconfigured(
                f"SENDLENS_CA_FILE or ca_file: {ca_file} has no certificate in PEM: want lines from BEGIN CERTIFICATE "
                "to END CERTIFICATE"
            ) from None
        except OSError as error:
            raise Misconfigured(
                f"SENDLENS_CA_FILE or ca_file: {ca_file} can't be read ({error.strerror or error})"
            ) from None
    return context


def advice_on(error: BaseException) -> str:
    """What to do about an error of TLS; empty when it is about something else."""
    said = str(error).lower()
    return next((advice for words, advice in _ADVICE if any(word in said for word in words)), "")


def with_advice(error: BaseException) -> str:
    """What an error says, and, where a certificate is at fault, what to do about it."""
    advice = advice_on(error)
    return f"{error}: {advice}" if advice else str(error)
