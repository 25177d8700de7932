"""What Gmail shows of an email's HTML, and what it cuts off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from decisions.sending.clip import SHOWN_BYTES, is_clipped, is_whole


@given(st.sampled_from("aé€😀\ud800"), st.integers(-2, 2), st.sampled_from([1, 4]))
def test_of_what_is_whole_nothing_is_clipped_and_of_the_rest_its_end(letter: str, more: int, share: int) -> None:
    size = len(letter.encode("utf-8", "replace"))
    html = letter * (SHOWN_BYTES // share // size + more)
    assert is_whole(html) is not is_clipped(html, len(html))
