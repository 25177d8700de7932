"""The patterns that reply_words.tsv makes, compiled once."""

from __future__ import annotations

from functools import lru_cache

from decisions.patterns import Search, searcher, utf8
from decisions.tables import rows

_FRAME = r"[\s>*_~=#—–━|-]*"
_COLON = r"[:：∶﹕៖։]"


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Search]:
    words: dict[str, list[str]] = {}
    for _, (what, pattern, _) in rows("reply_words.tsv", 3):
        words.setdefault(what, []).append(pattern)
    joined = {what: "|".join(patterns) for what, patterns in words.items()}
    verb, starter, speech = joined["verb"], joined["starter"], joined["speech"]
    # Lengths are the caller's to bound: counted repeats of any character take RE2 more memory than it has.
    # Words of other scripts have no blanks around them, so ends of words are asked of the verbs by hand.
    before = r"(?:^|[\s,>)\"'、，]){0,1}"
    ending = r"(?:\([^)]{1,4}\)|/\pL{1,3}){0,2}"
    said, spoke = rf"{before}(?:{verb}){ending}", rf"\s(?:{speech}){ending}"
    begins = rf"^[\s*_>(]*(?:(?:{starter})[\s,.]|\d|[\p{{Lu}}\p{{Lo}}]).{{3,}}"
    to, subject = joined["to"], joined["subject"]
    built = {
        # "On <date> <somebody> wrote:"
        "attribution": rf"{begins}{said}[\s*_]*{_COLON}[\s*_]*$",
        # "Am <date> schrieb <somebody>:"
        "inverted": rf"{begins}(?:{joined['inverted']})\s.{{2,}}{_COLON}[\s*_]*$",
        # "<somebody> <address> wrote ...:"
        "named": rf"\S@\S+\s(?:.*\s)?(?:{verb}).*{_COLON}[\s*_]*$",
        # "2017-02-05 13:29 GMT+02:00 Name <address>:"
        "dated": rf"\d.{{4,}}<\s?\S+@\S+\s?>\s?{_COLON}[\s*_]*$",
        # "Wiadomość napisana przez <somebody> w dniu <date>:"
        "phrase": rf"^[\s*_]*(?:{joined['phrase']})\s.{{2,}}{_COLON}[\s*_]*$",
        # What people say of others too, so a day and a time of day are asked beside it: "On <date> <somebody> said:"
        "spoken": rf"{begins}{spoke}[\s*_]*{_COLON}[\s*_]*$",
        "speech": spoke,
        "any": "",
        # "<somebody> wrote:", names being short
        "bare": rf"^\S+\s(?:\S+\s)*(?:{verb}){ending}\s?{_COLON}$",
        "self": joined["self"],
        "others": joined["others"],
        "verb": said,
        "verb-last": rf"{said}[\s*_]*$",
        "header": rf"^[\s*_>]*(?:{joined['header']})\s?[*_]{{0,2}}\s?{_COLON}",
        "marker": rf"^(?:{_FRAME}(?:{joined['marker']})[^.!?]{{0,60}}[-_=*~━:：]+[\s>*_-]*$"
        rf"|[\s>]*[-━]{{2,}}.{{0,10}}(?:{joined['marker']}))|{joined['start']}",
        "device": joined["device"],
        "footer": joined["footer"],
        # Quoted headers without colons, as Lotus Notes writes them: "To", alone or before a gap or an address.
        "to": rf"^\s*(?:{to})\s?{_COLON}?(?:\s*$|\t|\s{{2,}}\S|\s\S*@)",
        "subject": rf"^\s*(?:{subject})\s?{_COLON}?(?:\s|$)",
        "respond": joined["respond"],
    }
    return {what: searcher(pattern) for what, pattern in built.items()}


def reads(what: str, text: str) -> bool:
    """Whether a line reads as `what`, one of the patterns above. KeyError: none is called so."""
    return bool(_patterns()[what](utf8(text)))
