"""The text part of a mail that came with HTML alone: what a reader would read, with each link's address after it."""

from __future__ import annotations

import html as _html
import re

from agents.decisions.rewrite import _ATTRIBUTES, _END_OF_NAME, _WS, Scan, href_of

_LINK = re.compile(rf"<[aA]{_END_OF_NAME}({_ATTRIBUTES})>((?:[^<]++|<(?!/?[aA]{_END_OF_NAME}))*+)")
_BREAK = re.compile(
    rf"[{_WS}]*+</?(?i:br|p|div|tr|table|h[1-6]|ul|ol|li|blockquote|section|article|header|footer|hr|center|pre)"
    rf"{_END_OF_NAME}{_ATTRIBUTES}>[{_WS}]*+"
)
_TAG = re.compile(rf"</?[a-zA-Z!?]{_ATTRIBUTES}>|<![^>]*+>")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0\u200b\u200c\u200d\ufeff\u034f\u00ad]+")  # preheaders are padded with these
_LINE_ENDS = re.compile(r" ?\n[ \n]*")
_MARK = "\x00"


def plaintext(html: str, found: Scan) -> str:
    """Text of the HTML, one paragraph or table row a line. `found` is the scan of the same HTML."""
    parts, at = [], 0
    for start, end in sorted(found.hidden):
        parts.append(html[at:start])
        at = max(at, end)
    parts.append(html[at:])
    text = "".join(parts).replace(_MARK, "").replace("-->", "").replace("\n", " ").replace("\r", " ")
    text = _LINK.sub(_with_address, text)
    text = _BREAK.sub("\n", text)
    text = _TAG.sub("", text)
    text = _html.unescape(text) if "&" in text else text
    return _LINE_ENDS.sub("\n", _SPACES.sub(" ", text)).strip()


def _with_address(link: re.Match[str]) -> str:
    href = href_of(link.group(1))
    content = link.group(2)
    if href is None or not href.url.startswith(("http://", "https://", "mailto:")):
        return content
    address = href.url.removeprefix("mailto:")
    shown = _TAG.sub("", content).strip()
    if _html.unescape(shown) == address:
        return content
    return f"{content} ({_html.escape(address)})" if shown else content
