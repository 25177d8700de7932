"""What goes over the pipe to a process that instruments emails, and comes back: frames, each with its length."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import IO

from msgspec import Struct

from decisions.sending.own_system import ReadyEmail
from schemas.events import Campaign, Send


class Job(Struct, frozen=True, kw_only=True):
    """An email to instrument in another process."""

    send: Send
    campaign: Campaign
    now: datetime


class JobResult(Struct, frozen=True, kw_only=True):
    """What became of a job: the email, or why it can't become one."""

    ready: ReadyEmail | None = None
    reason: str = ""
    detail: str = ""


_LENGTH = struct.Struct(">I")


def write_frame(to: IO[bytes], frame: bytes) -> None:
    """Raises OSError where nobody reads."""
    to.write(_LENGTH.pack(len(frame)))
    to.write(frame)
    to.flush()


def read_frame(source: IO[bytes]) -> bytes | None:
    """The next frame, None where nothing more comes."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    frame = source.read(length)
    return frame if len(frame) == length else None
