"""Which charset a text is in that declares none, or a wrong one: told by its bytes alone.

Each answer is a codec of Python's or "". Certain rather than complete: a short text that could be either stays as it
is declared.
"""

from __future__ import annotations

import re

# Single bytes, Latin letters: texts have an accent here and there.
LATIN = frozenset(
    {
        *("cp1252", "cp1250", "cp1254", "cp1257", "cp1258", "cp850", "cp858", "mac-roman", "ascii"),
        *(f"iso8859-{part}" for part in (1, 2, 3, 4, 9, 10, 13, 14, 15, 16)),
    }
)
# Two bytes a character, or letters wherever UTF-8 has its bytes: short words of these are UTF-8 by chance now and then.
_DENSE = frozenset(
    {
        *("cp932", "shift_jis", "shift_jis_2004", "euc_jp", "euc_jis_2004", "gb2312", "gbk", "gb18030", "hz"),
        *("cp949", "euc_kr", "johab", "big5", "big5hkscs", "cp950", "cp874", "tis-620", "iso8859-11"),
    }
)
_MOST = 64 << 10  # bytes that are looked at
_LEAST = 6  # bytes over 127 that a guess is made from
_HIGH = re.compile(rb"[\x80-\xff]")
_WORD = re.compile(rb"[A-Za-z\x80-\xff]++")
_KANA = re.compile("[\u3041-\u30fa]")
_HALF_KANA = re.compile("[\uff61-\uff9f]")
_HAN = re.compile("[\u4e00-\u9fff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_FOREIGN = re.compile("[^\x00-\x7f]")
_TWO_BYTES = re.compile("[\x80-\u07ff]")


def is_utf8(raw: bytes, codec: str) -> bool:
    """Whether bytes that are declared to be in another codec are UTF-8, and not by chance."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if text.isascii():
        return False
    otherwise = _decoded(raw, codec)
    if otherwise is None or codec in LATIN:
        return True
    two_bytes = _TWO_BYTES.findall(text)
    longer = len(_FOREIGN.findall(text)) - len(two_bytes)
    if codec in _DENSE:
        scripts = {ord(letter) >> 6 for letter in two_bytes}  # first bytes: an alphabet has few
        if longer:
            return longer >= 2 or bool(_HALF_KANA.search(otherwise))
        return len(two_bytes) >= 4 >= len(scripts)
    return longer >= 1 or len(two_bytes) >= 2


def fits(raw: bytes, codec: str) -> bool:
    """Whether the bytes are text in this codec."""
    return _decoded(raw, codec) is not None


def is_foreign(raw: bytes) -> bool:
    """Whether words are made of bytes over 127, which no language with Latin letters has."""
    words = [word for word in _WORD.findall(raw[:_MOST]) if _HIGH.search(word)]
    high = sum(len(_HIGH.findall(word)) for word in words)
    return high >= _LEAST and high >= 0.6 * sum(map(len, words))


def guessed(raw: bytes) -> str:
    """The codec of a text that is no UTF-8, where its bytes tell it; "" for what may be in a Latin one."""
    raw = raw[:_MOST]
    high = _HIGH.findall(raw)
    if len(high) < _LEAST:
        return ""
    japanese = next((codec for codec in ("cp932", "euc_jp") if _share(_KANA, raw, codec) >= 0.25), "")
    if japanese or not _has_foreign_words(raw):
        return japanese
    if _share(_HANGUL, raw, "euc_kr") >= 0.9:
        return "cp949"
    return _cyrillic(high) or ("gb18030" if _share(_HAN, raw, "gb2312") >= 0.6 else "")


def _has_foreign_words(raw: bytes) -> bool:
    """Whether most words that have bytes over 127 have no others; a letter alone may be a Latin one with an accent."""
    words = [word for word in _WORD.findall(raw) if _HIGH.search(word)]
    foreign = sum(len(word) > 1 and len(_HIGH.findall(word)) == len(word) for word in words)
    return foreign >= 0.8 * len(words)


def _cyrillic(high: list[bytes]) -> str:
    """KOI8 has its small letters where Windows has its capitals; Ukraine's KOI8 has all letters of Russia's."""
    small = sum(b"\xc0" <= byte <= b"\xdf" for byte in high)
    large = sum(byte >= b"\xe0" for byte in high)
    if small + large < 0.9 * len(high):
        return ""
    return "koi8-u" if small > large else "cp1251"


def _share(of: re.Pattern[str], raw: bytes, codec: str) -> float:
    text = _decoded(raw, codec)
    foreign = _FOREIGN.findall(text) if text else []
    return len(of.findall(text or "")) / len(foreign) if foreign else 0.0


def _decoded(raw: bytes, codec: str) -> str | None:
    """The text, or None where the codec can't have made these bytes. A last character may be cut in two."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        if len(raw) == _MOST and error.start > len(raw) - 4:
            return raw[: error.start].decode(codec, "replace")
        return None
    except (UnicodeError, LookupError, ValueError):
        return None
