"""The core of `sendlens judge hits`: judge hits given as lines of JSON, one verdict a line, in the same order.

A line needs `id` (text or number, echoed as it came), `kind` (open or click) and `user_agent` (may be empty or null);
it may have `ip`, `method`, `headers`, `at` and `delivered_at` (ISO 8601; without an offset UTC is meant). Fields that
nobody knows are ignored, and so are empty lines. A line that can't be judged is complained of by its number, gets no
verdict, and hinders no other line. Memory does not grow with the number of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from decisions.robots.rules import HitContext, Rules, decide, explain
from decisions.robots.timing import SCANNER_WINDOW
from schemas.events import HitKind

_BOM = b"\xef\xbb\xbf"


class _HitLine(msgspec.Struct):
    id: msgspec.Raw
    kind: HitKind
    user_agent: str | None
    ip: str | None = None
    method: str | None = None
    headers: dict[str, object] | None = None
    at: str | None = None
    delivered_at: str | None = None


class _BadLine(ValueError):
    """Says what to change in a line."""


_decode = msgspec.json.Decoder(_HitLine).decode


def judge_lines(
    lines: Iterable[bytes],
    rules: Rules,
    write: Callable[[bytes], object],
    complain: Callable[[str], object],
    *,
    scanner_window: timedelta = SCANNER_WINDOW,
    explained: bool = False,
) -> int:
    """Write `{"id", "verdict", "reason"}` for each line and return how many lines could not be judged.

    `explained` adds the kind of agent, the network, and what each rule said, in order.
    """
    bad = 0
    for number, raw in enumerate(lines, 1):
        line = (raw.removeprefix(_BOM) if number == 1 else raw).strip()
        if not line:
            continue
        try:
            read = _read(line)
            seen = _see(read, rules, scanner_window)
        except _BadLine as error:
            bad += 1
            complain(f"line {number}: {error}")
            continue
        write(b'{"id":' + bytes(read.id) + _verdict(seen, explained))
    return bad


def _read(line: bytes) -> _HitLine:
    try:
        read = _decode(line)
    except msgspec.ValidationError as error:
        raise _BadLine(
            f"{error}; a hit needs id, kind (open or click) and user_agent (may be empty), and its ip, method, at and "
            "delivered_at are text"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _BadLine(f"not a JSON object ({error}); write one hit a line, in UTF-8") from None
    if bytes(read.id)[:1] not in b'"-0123456789':
        raise _BadLine("id is neither text nor a number; give each hit one of them")
    return read


def _see(line: _HitLine, rules: Rules, window: timedelta) -> HitContext:
    ip = line.ip or ""
    return HitContext(
        line.kind,
        rules.classify(line.user_agent or ""),
        ip,
        rules.find_network(ip) if ip else None,
        (line.method or "GET").upper(),
        {name.lower(): str(value) for name, value in line.headers.items()} if line.headers else {},
        _time("at", line.at),
        _time("delivered_at", line.delivered_at),
        False,
        window,
    )


def _time(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _BadLine(f"{name} is no time: {text[:40]!r}; write it like 2026-11-23T10:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _verdict(seen: HitContext, explained: bool) -> bytes:
    judgement = decide(seen)
    if not explained:
        return f',"verdict":"{judgement.verdict}","reason":"{judgement.reason}"}}\n'.encode()
    more = {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "agent": seen.agent.label,
        "network": seen.network.label if seen.network else None,
        "rules": [
            {
                "rule": finding.rule,
                "says": finding.judgement and f"{finding.judgement.verdict}: {finding.judgement.reason}",
            }
            for finding in explain(seen)
        ],
    }
    return b"," + msgspec.json.encode(more)[1:] + b"\n"
