"""What a tracking address may look like, and which host it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.settings import Settings
from schemas.settings.tracking import MAX_URL, further_hosts, host_of, is_public, tracking_url


@pytest.mark.parametrize(
    ("text", "form", "host"),
    [
        ("https://t.example.com", "https://t.example.com", "t.example.com"),
        ("HTTPS://T.Example.COM/", "https://t.example.com", "t.example.com"),
        ("https://t.example.com.:8443/Mail/x/", "https://t.example.com:8443/Mail/x", "t.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1"),
        ("https://xn--grten-ira.example", "https://xn--grten-ira.example", "xn--grten-ira.example"),
    ],
)
def test_an_address_has_one_form_and_names_a_host(text: str, form: str, host: str) -> None:
    assert (tracking_url(text), host_of(tracking_url(text))) == (form, host)
    assert tracking_url(form) == form


@pytest.mark.parametrize(
    "text",
    [
        "t.example.com", "ftp://t.example.com", "https://", "https://t.example.com?x=1", "https://t.example.com#x",
        "https://user@t.example.com", "https://t..example.com", "https://-t.example.com", "https://t_x.example.com",
        "https://t.example.com:0", "https://t.example.com:65536", "https://t.example.com:port", "https://[2001:db8::1]",
        'https://t.example.com/"onload', "https://t.example.com/a b", "https://t.example.com/\r\nX: y", "https://t.example.com\n",
        "https://t.example.com//x", "https://gärten.example", f"https://{'a' * MAX_URL}.example",
        f"https://{'a' * 64}.example", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_would_end_a_tag_a_header_or_an_address_early_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"tracking_url|want a host"):
        tracking_url(text)


@given(st.text(max_size=400))
def test_whatever_is_taken_can_stand_in_a_header_and_in_an_attribute(text: str) -> None:
    for given_text in (text, f"https://{text}", f"https://t.example.com/{text}"):
        try:
            found = tracking_url(given_text)
        except ValueError:
            continue
        assert found.isascii()
        assert not set(found) & set("\"'<>&?#@ \\\r\n")
        assert tracking_url(found) == found


def test_hosts_are_listed_with_commas_between() -> None:
    assert further_hosts(" T.example.com,old.example.com., ") == (("t.example.com", "old.example.com"), False)
    assert further_hosts("*") == ((), True)
    assert further_hosts("") == ((), False)
    with pytest.raises(ValidationError, match="without scheme and port"):
        Settings(_env_file=None, tracking_hosts="https://t.example.com")  # type: ignore[call-arg]


def test_addresses_and_names_without_a_dot_are_nobodys_domain() -> None:
    assert is_public("t.example.com")
    assert not any(map(is_public, ("localhost", "ingest", "192.0.2.1", "2001:db8::1", "")))
