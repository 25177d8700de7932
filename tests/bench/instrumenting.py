"""Milliseconds to instrument an email of 100 kB, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count

from decisions.sending.instrument import instrument
from schemas.events import Send
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PUBLIC, a_send
from tests.bench.figures import Ratio, Samples, Section, Table
from tests.bench.newsletters import newsletter
from tests.bench.workshop import Workshop

_PROMISED_MS = 2.0
_ROUNDS = 7
_EMAILS = 50
_TEXT = "A line of the text part, as long as lines are there, and a link: https://shop.example.com/\n" * 100

# Numbers for names: no email of one round has the HTML of another's.
_numbers = count()


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Instrument emails of each kind, in turn."""
    del workshop  # nothing is started: instrumenting is a function
    kinds: dict[str, Callable[[], list[Send]]] = {
        "each its own HTML, text part given": lambda: [
            _a_send(f"lead {next(_numbers)}", _TEXT) for _ in range(_EMAILS)
        ],
        "each its own HTML, text part made of it": lambda: [_a_send(f"lead {next(_numbers)}") for _ in range(_EMAILS)],
        "the same HTML for all, text part given": lambda: [_a_send("you", _TEXT) for _ in range(_EMAILS)],
        "the same HTML for all, text part made of it": lambda: [_a_send("you") for _ in range(_EMAILS)],
    }
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(2 if quick else _ROUNDS):
        for name, make in kinds.items():
            taken[name].append(_mean_ms(make()))
    samples = {name: Samples(tuple(each)) for name, each in taken.items()}
    for name, each in samples.items():
        print(f"  {name}: {each.middle:.2f} ms", flush=True)
    section = Section(
        title="Instrumenting an email of 100 kB",
        how=(
            f"Newsletters of 100 kB of HTML with a hundred links, {_EMAILS} a round, each with its own lead: from the request "
            "to the bytes that go to the mail server, with pixel, wrapped links, footer, headers and return path. The HTML "
            "read last for a variant is remembered: what the next lead's shares with it, all but a greeting, is not read again."
        ),
        command="python -m tests.bench --only instrumenting",
    )
    rows = [(name, f"{each.middle:.2f}", f"{each.spread:.0%}") for name, each in samples.items()]
    section.tables.append(Table(("emails", "ms an email, mean", "spread"), rows))
    section.ratios += [
        Ratio(f"2 ms / ours: {name}", Samples(tuple(_PROMISED_MS / value for value in each.values)), 1.0)
        for name, each in samples.items()
    ]
    return section


def _a_send(name: str, text: str = "") -> Send:
    return a_send(lead=f"lead-{next(_numbers)}", html=newsletter(100_000, name), text=text)


def _mean_ms(sends: Sequence[Send]) -> float:
    began = time.perf_counter()
    for send in sends:
        instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW)
    return (time.perf_counter() - began) / len(sends) * 1000
