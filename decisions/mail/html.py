"""HTML to text, for mail that has nothing else. Linear on any input: no tree, every expression possessive."""

from __future__ import annotations

import re

from decisions.mail.signs import shows
from schemas.references import unescape

MOST_HTML = 512 << 10  # characters that are read

# At most 64 pieces a tag, and none of them over a "<": a hostile text costs a bounded look from each of its "<".
_TAG = re.compile(r"""<(/?)([A-Za-z][A-Za-z0-9:-]{0,30}+)((?:[^<>"']++|"[^"]*+"|'[^']*+'){0,64}+)>|<[!?/][^<>]*+>""")
_BLOCKS = frozenset(
    {
        *("p", "div", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "hr", "pre", "center"),
        *("blockquote", "section", "article", "header", "footer", "dl", "dt", "dd", "body"),
    }
)
_APART = frozenset({"p", "blockquote", "table", "h1", "h2", "h3", "hr"})  # blocks with an empty line before them
_RULE = "________________________________"
_TOO_MANY_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")


def html_text(html: str, *, until_quote: bool = False) -> str:
    """The text a reader would see, block elements on lines of their own, quotes (blockquote) with "> " before them.

    `until_quote` stops where a mail client marks the quoted mail, unless nothing stands before it.
    """
    html = _without(html[:MOST_HTML])
    page = _Page()
    at = 0
    for tag in _TAG.finditer(html):
        page.write(html[at : tag.start()])
        at = tag.end()
        page.tag((tag[2] or "").lower(), closes=bool(tag[1]))
        if until_quote and page.said and _marks_quote(tag):
            return page.text()
    page.write(html[at:])
    page.end_line()
    return page.text()


def _marks_quote(tag: re.Match[str]) -> bool:
    return bool(tag[2] and not tag[1] and tag[3]) and shows("quote-markup", tag[3], 400)


class _Page:
    """The lines of a text as they come. `said` is whether any of them is not empty."""

    def __init__(self) -> None:
        self.said = False
        self._lines: list[str] = []
        self._line: list[str] = []
        self._depth = 0
        self._is_apart = False  # whether the last line is empty

    def text(self) -> str:
        """All lines that have ended."""
        return "\n".join(self._lines).strip("\n")

    def write(self, text: str) -> None:
        """What stands between two tags."""
        if text:
            self._line.append(unescape(text).replace("\n", " "))

    def tag(self, name: str, *, closes: bool) -> None:
        """A tag by its name, in lower case; "" for a declaration."""
        if name == "br":
            self._put_line(self._taken())
        elif name in _BLOCKS:
            self._block(name, closes=closes)
        elif name in ("td", "th") and self._line:
            self._line.append(" ")

    def end_line(self) -> None:
        """Ends the line; of an empty one remains a blank line, where none stands yet."""
        text = self._taken()
        if text:
            self._put_line(text)
        else:
            self._set_apart()

    def _block(self, name: str, *, closes: bool) -> None:
        text = self._line and "".join(self._line).strip()
        if text:
            self.end_line()
        self._line.clear()
        if name in _APART:
            self._set_apart()
        if name == "blockquote":
            self._depth = max(0, self._depth - 1) if closes else self._depth + 1
        if name == "hr":
            self._put(_RULE)
            self._is_apart = False

    def _taken(self) -> str:
        text = _TOO_MANY_SPACES.sub(" ", "".join(self._line)).strip()
        self._line.clear()
        return text

    def _put_line(self, text: str) -> None:
        self._put("> " * min(self._depth, 9) + text)
        self._is_apart = not text

    def _put(self, line: str) -> None:
        self._lines.append(line)
        self.said = self.said or bool(line.strip())

    def _set_apart(self) -> None:
        if self._lines and not self._is_apart:
            self._lines.append("")
            self._is_apart = True


def _without(html: str) -> str:
    """Without comments and what is never shown. By search, because a lazy expression is quadratic on unclosed ones;
    and what was not found once is not looked for again."""
    out, at = [], 0
    lowered = html.lower()
    closings = {"<!--": "-->", "<script": "</script", "<style": "</style", "<title": "</title"}
    missing: set[str] = set()
    starts = re.finditer(r"<!--|<script|<style|<title", lowered)
    for start in starts:
        if start.start() < at or start[0] in missing:
            continue
        end = lowered.find(closings[start[0]], start.end())
        if end < 0:
            missing.add(start[0])
            continue
        out.append(html[at : start.start()])
        at = end + len(closings[start[0]])
        if start[0] != "<!--" and ">" not in missing:
            close = lowered.find(">", at)
            if close < 0:
                missing.add(">")
            at = close + 1 if close >= 0 else at
    out.append(html[at:])
    return "".join(out)
