"""The labelled mail: our own samples beside this file, and the corpora of `../shared`, where that folder is there.

A sixth of the shared bounces is held out of tuning, by a hash of the file's name alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN = Path(__file__).with_name("mail")
# Beside the checkout, or beside the folder of several checkouts.
_PLACES = [folder / "shared" / "corpora" for folder in Path(__file__).parents[3:5]]
SHARED = next((place for place in _PLACES if place.exists()), _PLACES[0])
NO_CORPORA = "the labelled corpora are not on this machine (shared/corpora beside the checkout)"


@dataclass(frozen=True, slots=True)
class Sample:
    """A mail of our own and what it is."""

    file: str
    kind: str
    recipients: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One recipient of one bounce. `expected` is hard, soft or other; what is ambiguous is the labeller's judgement."""

    file: str
    recipient: str
    expected: str
    ambiguous: bool


def held_out(name: str) -> bool:
    """Whether a file was kept out of tuning: fixed by its name, a sixth of all."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 6 == 0


def own_samples() -> list[Sample]:
    lines = [json.loads(line) for line in (OWN / "labels.ndjson").read_text(encoding="utf-8").splitlines()]
    return [Sample(each["file"], each["kind"], [(a, c) for a, c in each["recipients"]]) for each in lines]


def bounces() -> list[Labelled]:
    return [
        Labelled(each["file"], each["recipient"], each["expected"], each["ambiguous"])
        for each in _lines(SHARED / "bounces" / "labels.jsonl")
    ]


def replies() -> list[tuple[str, str]]:
    """File and label: reply, auto-reply, complaint, dsn-success, mdn, bounce or other."""
    return [(each["file"], each["label"]) for each in _lines(SHARED / "replies" / "labels.jsonl")]


def reply_texts() -> list[tuple[str, str, str]]:
    """Name, the text as it was sent, and what of it is the writer's."""
    out = []
    for path in sorted((SHARED / "reply-text").glob("*.original.txt")):
        expected = path.with_name(path.name.replace(".original.", ".expected."))
        out.append((path.name, path.read_text(encoding="utf-8"), expected.read_text(encoding="utf-8")))
    return out


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
