"""Does mail find its way? DNS of every account's domains, its servers, and the addresses that every email names."""

from __future__ import annotations

from collections.abc import Iterator

import dns.exception

from commands.doctor.diagnosis import Diagnosis, Examination
from commands.doctor.dns_records import Names, mail_records, no_answer
from commands.doctor.probe import return_mail as probe
from commands.doctor.tracking_domain import tracking_records, tracking_urls
from oauth2.renewal import load_senders
from schemas.certificates import tls_context


def names(given: Examination) -> Iterator[Diagnosis]:
    """What the world is told of our domains."""
    try:
        yield from mail_records(load_senders(given.settings).leaving, Names())
    except (dns.exception.DNSException, OSError) as error:
        yield no_answer(error)


def tracking(given: Examination) -> Iterator[Diagnosis]:
    """Whether recipients reach us by every address that emails name."""
    known = load_senders(given.settings)
    urls = tracking_urls(given.settings, [*known.leaving, *known.accounts])
    context = tls_context(given.settings.ca_file)
    try:
        for url in urls:
            yield from tracking_records(url, given.settings.public_url, given.settings.keyring, Names(), context)
    except (dns.exception.DNSException, OSError) as error:
        yield no_answer(error)


def accounts(given: Examination) -> Iterator[Diagnosis]:
    """Every account on its servers, as `sendlens senders check` has it."""
    from commands.check_senders import check_accounts

    for result in check_accounts(load_senders(given.settings)):
        said = f"{result.account} {result.check}: {result.said}"
        yield Diagnosis("accounts", "fail" if result.todo else "ok", said, result.todo)


def return_mail(given: Examination) -> Iterator[Diagnosis]:
    """Whether what every email names leads back to us."""
    if given.mail_seconds <= 0:
        yield Diagnosis("return mail", "ok", "not tried (--no-mail)")
        return
    yield from probe(load_senders(given.settings), given.settings.keyring, given.mail_seconds)
