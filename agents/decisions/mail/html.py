"""HTML to text, for mail that has nothing else. Linear on any input: no tree, every expression possessive."""

from __future__ import annotations

import html as _html
import re

MOST_HTML = 512 << 10  # characters that are read

# At most 64 pieces a tag, and none of them over a "<": a hostile text costs a bounded look from each of its "<".
_TAG = re.compile(r"""<(/?)([A-Za-z][A-Za-z0-9:-]{0,30}+)((?:[^<>"']++|"[^"]*+"|'[^']*+'){0,64}+)>|<[!?/][^<>]*+>""")
_LINES = frozenset(
    {
        "p",
        "div",
        "tr",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "hr",
        "pre",
        "center",
        "blockquote",
    }
    | {"section", "article", "header", "footer", "dl", "dt", "dd", "body"}
)
# Where mail clients put the quoted mail: what follows is not the writer's.
_QUOTE = re.compile(
    r"""\b(?:class|id)\s*=\s*["']?[^"'>]{0,80}(?:gmail_quote|gmail_extra|yahoo_quoted|moz-cite-prefix|protonmail_quote"""
    r"""|zmail_extra|OLK_SRC_BODY_SECTION|appendonsend|divRplyFwdMsg|reply-intro|mail-quote|tutanota_quote|x_gmail_quote"""
    r"""|ms-outlook-mobile-reference|qt-blockquote|WordSection1_quote|isForwardContent|quotedMessage|mailru-blockquote)""",
    re.IGNORECASE,
)
_TOO_MANY_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")


def html_text(html: str, *, until_quote: bool = False) -> str:
    """The text a reader would see, block elements on lines of their own, quotes (blockquote) with "> " before them.

    `until_quote` stops where a mail client marks the quoted mail, unless nothing stands before it.
    """
    html = html[:MOST_HTML]
    html = _without(html)
    out: list[str] = []
    line: list[str] = []
    depth = at = 0
    quiet = False

    def end_line() -> None:
        nonlocal quiet
        text = _TOO_MANY_SPACES.sub(" ", "".join(line)).strip()
        line.clear()
        if text:
            out.append("> " * min(depth, 9) + text)
            quiet = False
        elif not quiet and out:
            out.append("")
            quiet = True

    for tag in _TAG.finditer(html):
        if tag.start() > at:
            line.append(_html.unescape(html[at : tag.start()]).replace("\n", " "))
        at = tag.end()
        name = (tag[2] or "").lower()
        if name == "br":
            text = _TOO_MANY_SPACES.sub(" ", "".join(line)).strip()
            line.clear()
            out.append("> " * min(depth, 9) + text)
            quiet = not text
        elif name in _LINES:
            if line and "".join(line).strip():
                end_line()
            else:
                line.clear()
            if name in ("p", "blockquote", "table", "h1", "h2", "h3", "hr") and out and not quiet:
                out.append("")
                quiet = True
            if name == "blockquote":
                depth = max(0, depth - 1) if tag[1] else depth + 1
            if name == "hr":
                out.append("________________________________")
                quiet = False
        elif name in ("td", "th") and line:
            line.append(" ")
        if until_quote and name and not tag[1] and tag[3] and _QUOTE.search(tag[3][:400]) and any(map(str.strip, out)):
            return "\n".join(out).strip("\n")
    if at < len(html):
        line.append(_html.unescape(html[at:]).replace("\n", " "))
    end_line()
    return "\n".join(out).strip("\n")


def _without(html: str) -> str:
    """Without comments and what is never shown. By search, because a lazy expression is quadratic on unclosed ones."""
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
        if start[0] != "<!--":
            close = lowered.find(">", at)
            at = close + 1 if close >= 0 else at
    out.append(html[at:])
    return "".join(out)
