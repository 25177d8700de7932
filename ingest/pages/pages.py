"""The few pages a recipient may see: plain HTML, one small style sheet, nothing from anywhere else.

They work without JavaScript and without images, follow the reader's colour scheme and language, and say one thing
each. Their words are those of schemas/languages.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from html import escape

from schemas.languages import DEFAULT, Language, PageWords, languages
from schemas.settings import Settings

_LONGEST_WISH = 200  # characters of Accept-Language that are read

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1e;--paper:#fff;--quiet:#5c5c61;--act:#0b57d0;--on-act:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#f2f2f4;--paper:#17171a;--quiet:#a9a9b0;--act:#9cc0ff;--on-act:#10203c}}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:34rem;margin:14vh auto 0;padding:0 1.5rem}
.brand{font-weight:600;color:var(--ink);margin:0 0 2rem}
h1{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}
p{margin:0 0 1.25rem;color:var(--quiet)}
button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;border-radius:.5rem;background:var(--act);
color:var(--on-act);cursor:pointer}
fieldset{border:0;margin:0 0 1.25rem;padding:0}
legend{padding:0;margin:0 0 .25rem;color:var(--quiet)}
label{display:block;padding:.35rem 0;cursor:pointer}
input{width:1.1rem;height:1.1rem;margin:0 .6rem 0 0;vertical-align:-.15rem;accent-color:var(--act)}
input:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
button+button{margin-left:1rem}
button.link{padding:.7rem 0;background:none;color:var(--ink);font-weight:400;text-decoration:underline}
button:focus-visible{outline:3px solid var(--ink);outline-offset:3px}
""".strip()


class Pages:
    """The pages as bytes, made once at the start: a language, then a page, by the names of `Language`."""

    def __init__(self, settings: Settings) -> None:
        style = _STYLE + _accent(settings.brand_color)
        self.headers = _headers(style)
        spoken = languages(settings)
        self._only = {code: one.choices.only if one.choices else "" for code, one in spoken.items()}
        self._made = {code: dict(_pages(code, language, settings, style)) for code, language in spoken.items()}

    def page(
        self, name: str, wish: str = "", *, until: date | None = None, lists: Sequence[str] = (), left: str = ""
    ) -> bytes:
        """A page in the language that `wish` (an Accept-Language header) likes best, in English when there is none.

        `until` is the day on which a pause ends, `left` the list that was left, on the pages that say so; `lists` are
        those that the page which asks offers to leave. KeyError: no page is called so.
        """
        there = {code: made for code, made in self._made.items() if name in made}
        code = _chosen(wish, there)
        page = there[code][name].replace(_UNTIL, until.isoformat().encode() if until else b"")
        # Once each: a list may be called like a place to fill in.
        if _LISTS in page:
            return page.replace(_LISTS, _leaving(self._only[code], lists).encode())
        return page.replace(_LIST, escape(left).encode())


# What is filled in when a page is asked for.
_UNTIL, _LISTS, _LIST = b"{until}", b"{lists}", b"{list}"


def _leaving(only: str, lists: Sequence[str]) -> str:
    """A button for each list; none where the language has no words for it."""
    if not only:
        return ""
    buttons = (_button("list", ' class="link"', only.replace("{list}", name), name) for name in lists)
    return "".join(f"<p>{button}</p>" for button in buttons)


def _pages(code: str, language: Language, settings: Settings, style: str) -> Iterator[tuple[str, bytes]]:
    for name in Language.__struct_fields__:
        words = getattr(language, name)
        if isinstance(words, PageWords):
            above, below = _choices(language, settings) if name == "confirm" else ("", "")
            form = _form(_BUTTONS[name], words.button, above, below) if name in _BUTTONS else ""
            yield name, _page(code, settings.brand, style, words, form)


# The button of each page that has one: what it posts, and how it looks.
_BUTTONS: Mapping[str, tuple[str, str]] = {
    "confirm": ("confirm", ""),
    "unsubscribed": ("undo", ' class="link"'),
    "resubscribed": ("confirm", ""),
    "paused": ("unpause", ' class="link"'),
    "unpaused": ("confirm", ""),
    "left": ("rejoin", ' class="link"'),
    "rejoined": ("confirm", ""),
}


def _form(button: tuple[str, str], text: str, before: str = "", after: str = "") -> str:
    # Not a link: a client that follows links without reading, as scanners do, must change nothing.
    name, look = button
    value = _LIST.decode() if name == "rejoin" else "1"
    return f'<form method="post">{before}{_button(name, look, text, value)}{after}</form>'


def _button(name: str, look: str, text: str, value: str = "1") -> str:
    return f'<button{look} type="submit" name="{name}" value="{escape(value)}">{escape(text)}</button>'


def _choices(language: Language, settings: Settings) -> tuple[str, str]:
    """What the page that asks offers besides, above its button and behind it: a reason, a pause, lists."""
    lists = _LISTS.decode()
    if language.choices is None:
        return "", lists
    offered = [(code, language.reasons[code]) for code in settings.reasons if code in language.reasons]
    reasons = "".join(
        f'<label><input type="radio" name="reason" value="{code}">{escape(text)}</label>' for code, text in offered
    )
    why = f"<fieldset><legend>{escape(language.choices.why)}</legend>{reasons}</fieldset>" if reasons else ""
    days = settings.unsubscribe_pause_days
    text = language.choices.pause.replace("{days}", str(days))
    offers_pause = days > 0 and language.paused is not None and language.unpaused is not None
    return why, (_button("pause", ' class="link"', text) if offers_pause else "") + lists


def _page(code: str, brand: str, style: str, words: PageWords, form: str) -> bytes:
    above = f'<p class="brand">{escape(brand)}</p>' if brand else ""
    return (
        f'<!doctype html><html lang="{escape(code)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(words.title)}</title><style>{style}</style></head>"
        f"<body><main>{above}<h1>{escape(words.title)}</h1><p>{escape(words.text)}</p>"
        f"{form}</main></body></html>\n"
    ).encode()


def _headers(style: str) -> dict[str, str]:
    """What every page of ours is sent with."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Language",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
    }


def _accent(color: str) -> str:
    """The brand's colour on buttons, with whichever of black and white is read better on it (WCAG 2.2, 1.4.3)."""
    if not color:
        return ""
    shares = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    on = "#fff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000"
    return f"\nbutton:not(.link){{background:{color};color:{on}}}"


def _chosen(wish: str, there: Iterable[str]) -> str:
    """The code that an Accept-Language header likes best (RFC 9110, 12.5.4), by its first subtag if need be."""
    best, best_quality = DEFAULT, 0.0
    for part in wish[:_LONGEST_WISH].split(","):
        code, _, parameter = part.strip().lower().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        for known in (code.strip(), code.strip().partition("-")[0]):
            if known in there and quality > best_quality:
                best, best_quality = known, quality
    return best
