"""How a record of hits is read: all of it at once, with the same outcome as line by line."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents.judge.judge import read_hits
from schemas.events import Hit, lines
from tests.decisions.robots.hits import hit

_BROKEN = (b"{", b"null", b'{"id":"no hit"}', b"\xff", b'"click"', b"[]", b"}")


def line_by_line(batch: bytes) -> tuple[list[Hit], list[bytes]]:
    """The plain way: the hits, and the lines that are none."""
    hits, bad = [], []
    for line in filter(None, batch.split(b"\n")):
        try:
            hits.append(msgspec.json.decode(line, type=Hit))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            bad.append(line)
    return hits, bad


def a_line(agent: str) -> bytes:
    return lines([hit(id=str(uuid.uuid4()), user_agent=agent)])[:-1]


@given(
    st.lists(st.one_of(st.text(max_size=20).map(a_line), st.sampled_from((*_BROKEN, b"", b" "))), max_size=8),
    st.sampled_from((b"", b"\n")),
)
def test_a_batch_read_at_once_gives_what_its_lines_give(pieces: Sequence[bytes], end: bytes) -> None:
    batch = b"\n".join(pieces) + end
    hits, unreadable = read_hits(batch)
    plain, bad = line_by_line(batch)
    assert hits == plain
    assert bool(unreadable) == bool(bad)


def test_two_hits_on_a_line_are_a_fault_and_the_lines_after_it_are_read() -> None:
    batch = a_line("one") + a_line("two") + b"\n" + a_line("three") + b"\n"
    hits, unreadable = read_hits(batch)
    assert [one.user_agent for one in hits] == ["three"]
    assert "trailing characters" in unreadable
