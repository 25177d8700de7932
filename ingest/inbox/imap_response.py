"""What a server answers to FETCH (UID INTERNALDATE BODY[]), read without a tokenizer where it is of the usual form.

imapclient's parser takes an answer apart byte by byte: of a backlog that is most of the work. Pure: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from imapclient.response_parser import parse_fetch_response

# A mail, as it is found in an answer: uid, when it arrived (None when the server does not say), and the text.
Given = tuple[int, datetime | None, bytes]

# The head of a mail's answer up to its literal (RFC 9051, 7.5.2; date-time as in its grammar), after which only the
# closing parenthesis comes. Servers may give things in another order, or give more: then it is not of the usual form.
_HEAD = re.compile(
    rb'\d+ \(UID (\d+) INTERNALDATE "([ \d]\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"'
    rb" BODY\[\](?:<0>)? \{\d+\}"
)
_MONTHS = {month: number for number, month in enumerate(re.findall(b"...", b"JanFebMarAprMayJunJulAugSepOctNovDec"), 1)}


def read(answer: Sequence[object]) -> list[Given]:
    """The mails in what imaplib gives for a FETCH: pairs of a head and a literal, with trailers between them.

    Raises imapclient's ProtocolError (a ValueError) for what no IMAP server should say.
    """
    usual = _usual(answer)
    if usual is not None:
        return usual
    answers = parse_fetch_response(answer, normalise_times=False)
    return [(uid, _date(said), text) for uid, said in answers.items() if (text := texts(said)) is not None]


def texts(said: Mapping[bytes, object]) -> bytes | None:
    """The mail among the things given: the key is `BODY[]`, with `<0>` when only a part was asked for."""
    for name, value in said.items():
        if name.startswith(b"BODY[") and isinstance(value, bytes):
            return value
    return None


def _usual(answer: Sequence[object]) -> list[Given] | None:
    """None when a part of it is of another form."""
    if len(answer) % 2:
        return None
    given: list[Given] = []
    parts: Iterator[object] = iter(answer)
    for pair, trailer in zip(parts, parts, strict=True):
        if trailer != b")" or not isinstance(pair, tuple):
            return None
        head, text = pair
        found = _HEAD.fullmatch(head)
        if found is None:
            return None
        uid, day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
        try:
            zone = _zone(sign, hours, minutes)
            at = datetime(
                int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=zone
            ).astimezone(UTC)
        except (ValueError, KeyError, OverflowError):
            return None
        given.append((int(uid), at, text))
    return given


@lru_cache(maxsize=100)
def _zone(sign: bytes, hours: bytes, minutes: bytes) -> timezone:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == b"-" else offset)


def _date(said: Mapping[bytes, object]) -> datetime | None:
    moment = said.get(b"INTERNALDATE")
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None
