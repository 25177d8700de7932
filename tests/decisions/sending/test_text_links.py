"""Which part of a text is an address: what stands around one in real text parts is none of it."""

from __future__ import annotations

import pytest

from decisions.sending.text_links import wrapped


def links_of(text: str) -> list[str]:
    found: list[str] = []
    again = wrapped(text, lambda url: (found.append(url), url)[1])
    assert again == text
    return found


@pytest.mark.parametrize(
    ("text", "url"),
    [
        # In an address, and so a part of it.
        ("It's at https://example.com/O'Brien's/menu today", "https://example.com/O'Brien's/menu"),
        ("https://example.com/list?tag[]=a&tag[]=b", "https://example.com/list?tag[]=a&tag[]=b"),
        ("https://example.com/a[1] and more", "https://example.com/a[1]"),
        ("see https://example.com/wiki/Snake_case_ there", "https://example.com/wiki/Snake_case_"),
        ("https://example.com/~ada/", "https://example.com/~ada/"),
        ("https://example.com/ada~", "https://example.com/ada~"),
        ("https://example.com/a_(b)_(c)", "https://example.com/a_(b)_(c)"),
        ("https://example.com/{{name}}", "https://example.com/{{name}}"),
        ("https://example.com/東京/案内", "https://example.com/東京/案内"),
        ("HTTPS://EXAMPLE.COM/A", "HTTPS://EXAMPLE.COM/A"),
        # Around it, and so none of it.
        ("the page 'https://example.com/a'.", "https://example.com/a"),
        ("'https://example.com/O'Brien'", "https://example.com/O'Brien"),
        ("‘https://example.com/a’, “https://example.com/a” „https://example.com/a“", "https://example.com/a"),
        ("«https://example.com/a»", "https://example.com/a"),
        ("[https://example.com/a]", "https://example.com/a"),
        ("[Menu](https://example.com/a)[2]", "https://example.com/a"),
        ("[[https://example.com/a[0]]]", "https://example.com/a[0]"),
        ("_https://example.com/a_ and __https://example.com/a__", "https://example.com/a"),
        ("_Look at https://example.com/a_", "https://example.com/a"),
        ("*https://example.com/a*, ~~https://example.com/a~~", "https://example.com/a"),
        ("请看（https://example.com/a）。", "https://example.com/a"),
        ("「https://example.com/a」を見て、", "https://example.com/a"),
        ("https://example.com/a，谢谢！", "https://example.com/a"),
        ("https://example.com/a… or later", "https://example.com/a"),
        ("https://example.com/a — soon", "https://example.com/a"),
        ("https://example.com/a\u200b and", "https://example.com/a"),
        ("Is it (https://example.com/a)?!", "https://example.com/a"),
        ("<https://example.com/a>", "https://example.com/a"),
    ],
)
def test_an_address_ends_where_a_person_would_end_it(text: str, url: str) -> None:
    assert set(links_of(text)) == {url}


def test_what_nobody_wraps_stays() -> None:
    assert wrapped("https://example.com/a, b", lambda url: None) == "https://example.com/a, b"
