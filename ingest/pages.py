"""The few pages a recipient may see: plain HTML, one small style sheet, nothing from anywhere else.

They work without JavaScript and without images, follow the reader's colour scheme, and say one thing each.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1e;--paper:#fff;--quiet:#5c5c61;--act:#0b57d0;--on-act:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#f2f2f4;--paper:#17171a;--quiet:#a9a9b0;--act:#9cc0ff;--on-act:#10203c}}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:34rem;margin:14vh auto 0;padding:0 1.5rem}
h1{font-size:1.5rem;line-height:1.3;margin:0 0 .75rem}
p{margin:0 0 1.25rem;color:var(--quiet)}
button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;border-radius:.5rem;background:var(--act);
color:var(--on-act);cursor:pointer}
button:focus-visible{outline:3px solid var(--ink);outline-offset:3px}
""".strip()

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""What every page of ours is sent with."""


def page(title: str, text: str, form: str = "") -> bytes:
    """A whole page. `title` and `text` are escaped; `form` is HTML of ours."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>{form}</main></body></html>\n"
    ).encode()


NOT_FOUND = page("This link leads nowhere", "It may have been cut off or mistyped. Nothing was recorded.")
NOT_YET = page("One moment, please", "This link can't be looked up right now. Try again in a few seconds.")
CONFIRM = page(
    "Stop these emails?",
    "Confirm, and no further email will be sent to you. Nothing changes until you do.",
    '<form method="post"><button type="submit" name="confirm" value="1">Unsubscribe</button></form>',
)
UNSUBSCRIBED = page("You are unsubscribed", "No further email will be sent to you. You can close this page.")
UNCLEAR = page(
    "Nothing was changed", "The request did not say what to do. Open the link from the email and confirm there."
)
UNAVAILABLE = page(
    "That did not work, and it is our fault", "You are not unsubscribed yet. Please try again in a minute."
)
