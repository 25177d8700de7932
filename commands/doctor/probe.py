"""Mails that we send to ourselves, to see that what is in every email of ours leads back into a mailbox that is read.

`bounce+TOKEN@` is the return path and `unsubscribe@` stands in List-Unsubscribe, both of the envelope domain. A probe
carries tokens of a delivery that no email has, so the reader knows it and whatever answers it, and makes
no event of it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from agents.transport.smtp import SmtpPool
from commands.doctor.diagnosis import Diagnosis
from decisions.sending.answers import SmtpRefused
from decisions.sending.mime import body, header
from ingest.inbox.imap import ImapMailbox, connect
from ingest.inbox.mailbox import FolderRefused
from schemas.errors import Misconfigured, Reject, Retry
from schemas.senders import Account, Senders
from schemas.tokens import PROBE, Claim, Keyring, Purpose

MARK = "X-Sendlens-Probe"
_CHECK = "return mail"
_SMTP_SECONDS = 20.0
_POLL_SECONDS = 0.5

_TODO = {
    "bounce": "create the address bounce@{domain} with sub-addresses (Postfix: recipient_delimiter = +), "
    "and name its mailbox, or where it forwards to, with [account.imap] in senders.toml; until then bounces are lost",
    "unsubscribe": "create the address unsubscribe@{domain}, and name its mailbox, or where it forwards to, with "
    "[account.imap] in senders.toml; until then unsubscribes by mail are lost",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One mail to ourselves. `mark` is the value of its header MARK."""

    what: str
    to: str
    domain: str
    mark: str
    message: bytes


@dataclass(slots=True)
class _Opened:
    """A mailbox, and the last mail of each of its folders before any probe left."""

    address: str
    mailbox: ImapMailbox
    last: dict[str, int]


def probes(sender: str, domain: str, keyring: Keyring, now: datetime) -> list[Probe]:
    """A mail to each address that the emails of this envelope domain name, in the form of what comes to them."""
    made = []
    for what in _TODO:
        claim = Claim(PROBE, "probe", 0, "", secrets.token_hex(8), int(now.timestamp()))
        token = keyring.sign(Purpose.UNSUBSCRIBE, claim)
        to = f"bounce+{keyring.sign_bounce(claim)}@{domain}" if what == "bounce" else f"unsubscribe@{domain}"
        headers = {
            "From": sender,
            "To": to,
            "Subject": token if what == "unsubscribe" else "Sendlens looks whether bounces come back",
            "Date": format_datetime(now),
            "Message-ID": f"<{keyring.sign(Purpose.MESSAGE, claim)}@{domain}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: nothing answers it by itself
            MARK: claim.lead,
            "MIME-Version": "1.0",
        }
        text = "Sendlens sent this to itself, to see that mail to this address comes in. You may delete it.\n"
        message = b"".join(header(name, value) for name, value in headers.items()) + body("plain", text)
        made.append(Probe(what, to, domain, claim.lead, message))
    return made


def return_mail(senders: Senders, keyring: Keyring, seconds: float) -> list[Diagnosis]:
    """Send a mail to each address of each envelope domain, and look for it in every mailbox that is read, for so many
    seconds. Never raises."""
    sending = {one.envelope_domain: one for one in reversed(senders.leaving)}
    domains = ", ".join(sending)
    if not senders.mailboxes:
        said = f"no mailbox is read: bounces and unsubscribes by mail to {domains} are lost"
        return [Diagnosis(_CHECK, "warn", said, "name their mailbox with [account.imap] in senders.toml")]
    opened, findings = _open(senders)
    try:
        if not opened:
            return findings
        left, refused = asyncio.run(_send(senders, list(sending.values()), keyring))
        return findings + refused + _await(opened, left, seconds)
    finally:
        for one in opened:
            one.mailbox.close()


def _open(senders: Senders) -> tuple[list[_Opened], list[Diagnosis]]:
    opened, findings = [], []
    for account in senders.mailboxes:
        try:
            mailbox = connect(account, senders)
            last = {}
            for name in mailbox.names_of(account.imap.folders if account.imap else ()):
                with suppress(FolderRefused):  # the check of the account says so
                    last[name] = mailbox.examine(name).last
            opened.append(_Opened(account.address, mailbox, last))
        except (Retry, Misconfigured) as error:
            todo = "see `sendlens senders check`"
            findings.append(Diagnosis(_CHECK, "fail", f"the mailbox of {account.address} can't be read: {error}", todo))
    return opened, findings


async def _send(
    senders: Senders, accounts: Sequence[Account], keyring: Keyring
) -> tuple[list[tuple[Probe, float]], list[Diagnosis]]:
    """Hand over the probes of each account; which left and when, and what became of the others."""
    left: list[tuple[Probe, float]] = []
    findings: list[Diagnosis] = []
    for account in accounts:
        smtp, domain = account.smtp, account.envelope_domain
        if smtp is None:
            continue
        sender = account.address or f"unsubscribe@{domain}"
        pool = SmtpPool(
            smtp,
            clock=lambda: datetime.now(UTC),
            connections=1,
            credential=lambda login=smtp: senders.credential(login),  # type: ignore[misc]
            timeout=_SMTP_SECONDS,
            verdict=_SMTP_SECONDS,
        )
        try:
            for probe in probes(sender, domain, keyring, datetime.now(UTC)):
                answer = await pool.deliver(sender, probe.to, probe.message)
                if isinstance(answer, SmtpRefused):
                    said = f"{smtp.host} refuses mail to {_name(probe)}: {answer.diagnostic}"
                    findings.append(Diagnosis(_CHECK, "fail", said, _TODO[probe.what].format(domain=domain)))
                else:
                    left.append((probe, time.monotonic()))
        except (Retry, Reject) as error:
            said = f"no mail to {domain} could be sent: {error}"
            findings.append(Diagnosis(_CHECK, "fail", said, "see `sendlens senders check`"))
        finally:
            await pool.close()
    return left, findings


def _await(opened: Sequence[_Opened], left: Sequence[tuple[Probe, float]], seconds: float) -> list[Diagnosis]:
    waiting = {probe.mark: (probe, at) for probe, at in left}
    findings, lost = [], set[str]()
    deadline = time.monotonic() + seconds
    while waiting:
        for one in opened:
            for folder, last in one.last.items():
                if one.address in lost:
                    continue
                try:
                    one.mailbox.examine(folder)
                    marks = one.mailbox.header(MARK, last)
                except (Retry, FolderRefused) as error:
                    lost.add(one.address)
                    said = f"the mailbox of {one.address} was lost: {error}"
                    findings.append(Diagnosis(_CHECK, "warn", said, "see `sendlens senders check`"))
                    continue
                for mark in waiting.keys() & set(marks):
                    probe, at = waiting.pop(mark)
                    said = f"{_name(probe)} came to {one.address} ({folder}) after {time.monotonic() - at:.1f} s"
                    findings.append(Diagnosis(_CHECK, "ok", said))
        if not waiting or time.monotonic() > deadline or len(lost) == len(opened):
            break
        time.sleep(_POLL_SECONDS)
    for probe, _ in waiting.values():
        said = f"mail to {_name(probe)} did not come within {seconds:.0f} s"
        findings.append(Diagnosis(_CHECK, "fail", said, _TODO[probe.what].format(domain=probe.domain)))
    return findings


def _name(probe: Probe) -> str:
    return f"{'bounce+TOKEN' if probe.what == 'bounce' else 'unsubscribe'}@{probe.domain}"
