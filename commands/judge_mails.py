"""The core of `sendlens judge mail`: one JSON line for each mail, in the order given.

A mail that can't be read as a file is complained of by its name and hinders no other. Any bytes are a mail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from decisions.mail.evidence import Evidence
from decisions.mail.read import MAX_MAIL, explain_mail
from decisions.mail.verdict import MailVerdict
from schemas.text import escaped
from schemas.tokens import Keyring

_encode = msgspec.json.Encoder().encode


class _Unreadable(ValueError):
    """Says what is wrong with a file, and what to do."""


def judge_mails(
    files: Iterable[Path],
    keyring: Keyring | None,
    write: Callable[[bytes], object],
    complain: Callable[[str], object],
    *,
    explained: bool = False,
) -> int:
    """Write a line for each file, explained with its evidence, and return how many could not be read."""
    bad = 0
    for file in files:
        try:
            raw = _read(file)
        except _Unreadable as error:
            bad += 1
            complain(f"{file}: {error}")
            continue
        verdict, evidence = explain_mail(raw, keyring)
        write(line(str(file), verdict, evidence if explained else None))
    return bad


def line(name: str, verdict: MailVerdict, evidence: Sequence[Evidence] | None = None) -> bytes:
    """The verdict as a line of JSON, harmless to show; `delivery` and `matched_by` only where a token proved them,
    `asks_to_stop` only where a reply does."""
    told: dict[str, object] = {
        "file": name.encode("utf-8", "replace").decode(),  # a name on disk need not be text
        "kind": verdict.kind,
        "reason": verdict.reason,
        "recipients": verdict.recipients,
        "text": verdict.text,
    }
    if verdict.stop is not None:
        told["asks_to_stop"] = verdict.stop
    if verdict.match is not None:
        told |= {"delivery": verdict.match.delivery_id, "matched_by": verdict.match.by}
    if evidence is not None:
        told["evidence"] = evidence
    return escaped(_encode(told).decode()).encode() + b"\n"


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_MAIL + 1)
    except IsADirectoryError:
        raise _Unreadable("is a directory; give the mails in it, one file each") from None
    except OSError as error:
        raise _Unreadable(f"can't be read ({error.strerror or error})") from None
    if len(raw) > MAX_MAIL:
        raise _Unreadable(f"is larger than {MAX_MAIL >> 20} MiB; no mail server delivers that, give the mail itself")
    return raw
