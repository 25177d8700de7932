"""Milliseconds to read one bounce, beside flufl.bounce on the same mails, in one process on one core."""

from __future__ import annotations

import time
from collections.abc import Callable

from commands.judge_mails import line
from decisions.mail.read import read_mail
from tests.bench.figures import Ratio, Samples, Section, Table
from tests.bench.workshop import Workshop
from tests.corpus.mail_accuracy import flufl_bounce
from tests.corpus.mails import OWN, SHARED, own_samples

_PROMISED_MS = 3.0
_ROUNDS = 7
_PASSES = 3


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Read every bounce again and again, the two readers in turn."""
    del workshop  # nothing is started: reading is a function
    mails, whence = _mails()
    readers: dict[str, Callable[[bytes], object]] = {
        "Sendlens": lambda raw: line("bounce.eml", read_mail(raw)),
        "flufl.bounce": flufl_bounce,
    }
    for read in readers.values():  # tables are compiled at the first mail
        read(mails[0])
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(2 if quick else _ROUNDS):
        for name, read in readers.items():
            taken[name].append(_mean_ms(read, mails, 1 if quick else _PASSES))
    samples = {name: Samples(tuple(each)) for name, each in taken.items()}
    for name, each in samples.items():
        print(f"  {name}: {each.middle:.2f} ms a bounce", flush=True)
    section = Section(
        title="Reading a bounce",
        how=(
            f"{len(mails):,} bounces, {sum(map(len, mails)) / len(mails) / 1024:.1f} KiB each in the mean, {whence}, read "
            "in turn by both in one process. Sendlens: from the raw bytes to the line of JSON that `sendlens judge mail FILE` "
            "writes, with kind, recipients, classes and diagnostics. flufl.bounce, with the parser of the standard "
            "library: from the raw bytes to the recipients."
        ),
        command="python -m tests.bench --only reading",
    )
    rows = [(name, f"{each.middle:.2f}", f"{each.spread:.0%}") for name, each in samples.items()]
    section.tables.append(Table(("reader", "ms a bounce, mean", "spread"), rows))
    ours = samples["Sendlens"]
    section.ratios += [
        Ratio("3 ms / ours", Samples(tuple(_PROMISED_MS / each for each in ours.values)), 1.0),
        Ratio("flufl.bounce / ours, time", samples["flufl.bounce"].over(ours)),
    ]
    return section


def _mails() -> tuple[list[bytes], str]:
    if SHARED.exists():
        return [path.read_bytes() for path in sorted((SHARED / "bounces").glob("*.eml"))], "real ones of many systems"
    files = [each.file for each in own_samples() if each.kind in ("bounce", "delivery_report")]
    return [
        (OWN / file).read_bytes() for file in files
    ], "those of tests/corpus/mail, for the larger corpora are not here"


def _mean_ms(read: Callable[[bytes], object], mails: list[bytes], passes: int) -> float:
    began = time.perf_counter()
    for _ in range(passes):
        for raw in mails:
            read(raw)
    return (time.perf_counter() - began) / passes / len(mails) * 1000
