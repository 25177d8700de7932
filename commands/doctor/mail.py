"""Does mail find its way? DNS of every account's domains, its servers, and the addresses that every email names."""

from __future__ import annotations

from collections.abc import Iterator

from commands.doctor.diagnosis import Diagnosis, Examination
from commands.doctor.dns_records import mail_records
from commands.doctor.names import Names, each_answered
from commands.doctor.probe import return_mail as probe
from commands.doctor.tracking_domain import tracking_records, tracking_urls
from oauth2.renewal import load_senders
from schemas.certificates import tls_context
from schemas.settings.tracking import host_of


def names(given: Examination) -> Iterator[Diagnosis]:
    """What the world is told of our domains."""
    yield from mail_records(load_senders(given.settings).leaving, Names())


def tracking(given: Examination) -> Iterator[Diagnosis]:
    """Whether recipients reach us by every address that emails name."""
    settings, known = given.settings, load_senders(given.settings)
    urls = tracking_urls(settings, [*known.leaving, *known.accounts])
    names, context = Names(), tls_context(settings.ca_file)
    yield from each_answered(
        (host_of(url), tracking_records(url, settings.public_url, settings.keyring, names, context)) for url in urls
    )


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
