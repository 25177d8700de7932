"""Files of the spool: what is read back after a crash, and whose a file is."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest.hits.segment import Frame, Segment, decode

LINES = st.lists(
    st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\0", b"") + b"\n")
)
FRAMES = st.lists(
    st.builds(
        lambda lines, partition: Frame(b"".join(lines), len(lines), partition, 12, 1_790_000_000.125),
        LINES.filter(bool),
        st.integers(0, 11),
    ),
    min_size=1,
    max_size=6,
)


@given(FRAMES)
def test_what_was_written_is_read_in_its_order(frames: list[Frame]) -> None:
    assert decode(b"".join(frame.encode() for frame in frames)) == (frames, 0)


@given(FRAMES, st.data())
def test_a_file_cut_anywhere_gives_every_frame_before_the_cut(frames: list[Frame], data: st.DataObject) -> None:
    encoded = [frame.encode() for frame in frames]
    whole = b"".join(encoded)
    cut = data.draw(st.integers(0, len(whole)))
    kept = 0
    while kept < len(frames) and sum(map(len, encoded[: kept + 1])) <= cut:
        kept += 1
    assert decode(whole[:cut]) == (frames[:kept], cut - sum(map(len, encoded[:kept])))


@given(FRAMES, st.data())
def test_one_spoilt_byte_costs_one_frame_and_no_other(frames: list[Frame], data: st.DataObject) -> None:
    encoded = [frame.encode() for frame in frames]
    spoilt = data.draw(st.integers(0, len(frames) - 1))
    at = data.draw(st.integers(0, len(encoded[spoilt]) - 1))
    other = data.draw(st.integers(1, 255))
    damaged = bytearray(encoded[spoilt])
    damaged[at] ^= other
    encoded[spoilt] = bytes(damaged)
    found, lost = decode(b"".join(encoded))
    assert found == frames[:spoilt] + frames[spoilt + 1 :]
    assert lost == len(damaged)


def test_a_file_has_one_owner_until_it_is_let_go(tmp_path: Path) -> None:
    frame = Frame(b"{}\n", 1, 0, 4, 1_790_000_000.0)
    mine = Segment.create(tmp_path)
    mine.append([frame])
    assert Segment.adopt(mine.path) is None
    mine.close()
    adopted = Segment.adopt(mine.path)
    assert adopted is not None
    segment, lost = adopted
    assert (segment.hits, segment.oldest_at, segment.size, lost) == (1, frame.at, len(frame.encode()), 0)
    assert segment.read() == ([frame], 0)
    segment.remove()
    assert list(tmp_path.iterdir()) == []
    assert Segment.adopt(segment.path) is None
