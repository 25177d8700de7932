"""`python -m ingest.api.instrument.instrumenter`: instruments emails in a process of its own, while ingest answers.

Reads frames from standard input, first the terms and then a job each, and writes an answer for
each job. Ends when the input does, so also when who started it is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import IO

import msgspec

from decisions.sending.own_system import InstrumentTerms, instrumenting
from ingest.api.instrument.frames import Job, JobResult, read_frame, write_frame
from schemas.errors import Reject

_NICER = 10  # hits come first where there are fewer cores than work


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, and ends this one by closing the input
    os.nice(_NICER)
    work(sys.stdin.buffer, sys.stdout.buffer)


def work(jobs: IO[bytes], answers: IO[bytes]) -> None:
    """Answer every job."""
    terms = read_frame(jobs)
    if terms is None:
        return
    instrument = instrumenting(msgspec.msgpack.decode(terms, type=InstrumentTerms))
    decode = msgspec.msgpack.Decoder(Job).decode
    while (frame := read_frame(jobs)) is not None:
        job = decode(frame)
        try:
            made = JobResult(ready=instrument(job.send, job.campaign, job.now))
        except Reject as error:
            made = JobResult(reason=error.reason, detail=error.detail)
        write_frame(answers, msgspec.msgpack.encode(made))


if __name__ == "__main__":
    main()
