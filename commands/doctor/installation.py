"""Is this machine's part well? Settings, disk, spool, and whether ingest answers where recipients ask it."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from commands.doctor.database import size
from commands.doctor.diagnosis import Diagnosis, Examination
from commands.doctor.lag import age
from ingest.hits.segment import SUFFIX
from schemas.certificates import tls_context, with_advice
from schemas.settings import Settings, is_loopback

_DEFAULT_ENVELOPE_DOMAIN = str(Settings.model_fields["envelope_domain"].default)
_LEAST_FREE = 0.05
_FULL = 0.9
# The spool empties within seconds once Kafka is back.
_OLD_SECONDS = 300.0
_ANSWER_SECONDS = 10.0


def settings(given: Examination) -> Iterator[Diagnosis]:
    """What is set, and what no installation that sends to people should leave so."""
    now = given.settings
    public = urlsplit(now.public_url)
    faults = []
    if now.envelope_domain == _DEFAULT_ENVELOPE_DOMAIN:
        faults.append(("SENDLENS_ENVELOPE_DOMAIN is an example's: no bounce comes back", "set it to a domain of yours"))
    if is_loopback(public.hostname or ""):
        faults.append(("SENDLENS_PUBLIC_URL is this machine alone: no recipient reaches it", "set it to a public name"))
    elif public.scheme != "https":
        faults.append(
            ("SENDLENS_PUBLIC_URL is http: links are warned of, and read on the way", "put TLS in front of it")
        )
    if now.smtp_user and now.smtp_tls == "none" and not is_loopback(now.smtp_host):
        faults.append(("SENDLENS_SMTP_TLS is none: the password goes over a readable line", "set starttls or tls"))
    if now.broker_in_memory and not is_loopback(public.hostname or ""):
        todo = "`make kafka`, then start again: docs/one-machine.md"
        faults.append(("the broker keeps everything in memory: it is to try Sendlens", todo))
    for said, todo in faults:
        yield Diagnosis("settings", "warn", said, todo)
    if not faults:
        yield Diagnosis("settings", "ok", f"mode {now.mode}, {now.partitions} partitions, {now.public_url}")


def disk(given: Examination) -> Iterator[Diagnosis]:
    """Room where the spool, the secrets and the embedded database are."""
    folder = given.settings.data_dir
    there = next(one for one in (folder, *folder.resolve().parents) if one.exists())
    usage = shutil.disk_usage(there)
    wanted = max(0, given.settings.spool_mb * 1_000_000 - sum(path.stat().st_size for path in _spool(given.settings)))
    said = f"{folder} has {size(usage.free)} of {size(usage.total)} free"
    if usage.free < wanted:
        todo = "make room, or lower SENDLENS_SPOOL_MB: a full disk loses hits while Kafka is away"
        yield Diagnosis("disk", "fail", f"{said}; the spool may need {size(wanted)}", todo)
    elif usage.free < _LEAST_FREE * usage.total:
        yield Diagnosis("disk", "warn", said, "make room")
    else:
        yield Diagnosis("disk", "ok", said)


def spool(given: Examination) -> Iterator[Diagnosis]:
    """Hits that wait on this machine's disk for Kafka."""
    limit = given.settings.spool_mb * 1_000_000
    files = {path: path.stat() for path in _spool(given.settings)}
    held = sum(stat.st_size for stat in files.values())
    if not held:
        yield Diagnosis("spool", "ok", "empty: Kafka has every hit of this machine")
        return
    waits = time.time() - min(stat.st_mtime for stat in files.values())
    said = f"{size(held)} of {size(limit)}, the oldest file for {age(waits)}"
    if held >= _FULL * limit:
        todo = "hits are refused when it is full: bring Kafka back, or raise SENDLENS_SPOOL_MB"
        yield Diagnosis("spool", "fail", said, todo)
    elif waits > _OLD_SECONDS:
        todo = "see that Kafka answers and that `sendlens ingest` runs with this data folder"
        yield Diagnosis("spool", "warn", said, todo)
    else:
        yield Diagnosis("spool", "ok", said)


def ingest(given: Examination) -> Iterator[Diagnosis]:
    """What ingest says of itself, asked where recipients ask it."""
    url = f"{given.settings.public_url}/readyz"
    try:
        status, body = _get(url, given.settings.ca_file)
    except (OSError, ValueError) as error:
        said = f"{url}: {with_advice(error)}"
        yield Diagnosis(
            "ingest", "fail", said, "run `sendlens ingest`, or look at the proxy and at SENDLENS_PUBLIC_URL"
        )
        return
    told = [*body.get("reasons", []), *body.get("degraded", [])]
    if status != 200:
        todo = "hits are not safe there" if told else "something else answers there than ingest"
        yield Diagnosis("ingest", "fail", f"{url}: {status} {'; '.join(told)}".rstrip(), todo)
    elif told:
        yield Diagnosis("ingest", "warn", f"ready, but {'; '.join(told)}", "mend these")
    else:
        yield Diagnosis("ingest", "ok", f"{url}: ready")


def _get(url: str, ca_file: str) -> tuple[int, dict[str, list[str]]]:
    context = tls_context(ca_file) if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS, context=context) as answer:  # noqa: S310  # http(s), says Settings
            status, text = answer.status, answer.read(1 << 16)
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read(1 << 16)
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return status, body if isinstance(body, dict) else {}


def _spool(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "spool").glob(f"*{SUFFIX}"))
