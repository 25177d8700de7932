"""Bytes to text for mail: declared charsets that lie, encoded words (RFC 2047), transfer encodings cut short.

Never raises: what can't be decoded becomes U+FFFD. Sizes are the caller's to bound.
"""

from __future__ import annotations

import binascii
import codecs
import encodings
import pkgutil
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache

from decisions.mail.guess import LATIN, fits, guessed, is_foreign, is_utf8

# What senders call them, and what their bytes really are: supersets that decode everything the declared one can.
_MEANT = {
    "ascii": "utf-8",
    "us-ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
    "unknown-8bit": "utf-8",
    "x-unknown": "utf-8",
    "default": "utf-8",
    "uft-8": "utf-8",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-2022-jp": "iso2022_jp_ext",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "tis-620": "cp874",
}
# Codecs that Python counts as text but that no mail means, some of them slow on purpose-made input.
_REFUSED = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\([JB])")  # of ISO-2022-JP, which Japanese bounces carry undeclared

# An encoded word; broken ones without their end are common in subjects cut by a length.
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{0,20})?\?([bBqQ])\?([^?\s]{0,4000}+)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]++(?==\?)")
_NOT_BASE64 = bytes(sorted({*range(256)} - {*b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"}))


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    """The names that Python has codecs for, as it spells them in a search."""
    return frozenset(
        [*aliases, *aliases.values(), *(module.name for module in pkgutil.iter_modules(encodings.__path__))]
    )


@lru_cache(maxsize=128)
def codec_of(name: str) -> str:
    """The codec to decode a declared charset with; "" when there is none."""
    name = name.strip().strip("'\"").lower()
    name = _MEANT.get(name, name)
    if normalize_encoding(name).replace(".", "_") not in _known():
        return ""  # Python would look for a module of that name on the disk, and remember for good that there is none
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError, TypeError):
        return ""
    if found.name in _REFUSED or not found._is_text_encoding:
        return ""
    return found.name


def decode(raw: bytes, charset: str = "", hint: str = "") -> str:
    """Text of the bytes, by the declared charset where it fits, else by what they look like.

    `hint` is the charset that something beside the text names: the encoded words of the headers, the HTML itself.
    """
    if b"\x1b" in raw and _ESCAPE.search(raw):
        return _decoded(raw, "iso2022_jp_ext")
    codec = codec_of(charset) if charset else ""
    if codec.startswith(("utf-16", "utf-32")) and b"\0" not in raw:
        codec = ""  # "unicode" is what some call any charset
    if codec and codec != "utf-8":
        return _as_declared(raw, codec, hint)
    text = raw.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if not broken:
        return text
    # Declared UTF-8 with a broken character is UTF-8 still.
    if codec and charset.lower().startswith("ut") and 2 * broken <= sum(not letter.isascii() for letter in text):
        return text
    return _decoded(raw, _undeclared(raw, codec_of(hint) if hint else ""))


def _as_declared(raw: bytes, codec: str, hint: str) -> str:
    if is_utf8(raw, codec):
        return raw.decode("utf-8")
    text = _decoded(raw, codec)
    if (codec in LATIN and is_foreign(raw)) or 10 * text.count("\ufffd") > len(text):
        likely = _undeclared(raw, codec_of(hint) if hint else "")
        return text if likely in LATIN else _decoded(raw, likely)
    return text


def _undeclared(raw: bytes, hinted: str) -> str:
    """The codec of a text that is no UTF-8: the one hinted at where it fits, what the bytes tell, or a Western one."""
    hinted = "" if hinted == "utf-8" else hinted
    if hinted and hinted not in LATIN and fits(raw, hinted):
        return hinted
    return guessed(raw) or hinted or "cp1252"


def _decoded(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec, "replace")
    except (UnicodeError, LookupError, ValueError):  # a codec may raise what it likes in spite of "replace"
        return raw.decode("latin-1")


def decode_words(value: str) -> str:
    """A header's value with its encoded words (RFC 2047) decoded."""
    if "=?" not in value:
        return value
    return _WORD.sub(_word, _BETWEEN_WORDS.sub(r"\1", value))


def encoded_charsets(value: str) -> list[str]:
    """The charsets that the encoded words of a header's value name."""
    return [found[1] for found in _WORD.finditer(value)]


def _word(found: re.Match[str]) -> str:
    charset, how, text = found.groups()
    raw = text.encode("utf-8", "surrogateescape")
    raw = base64(raw) if how in "bB" else binascii.a2b_qp(raw, header=True)
    return decode(raw, charset)


def base64(raw: bytes) -> bytes:
    """Bytes of base64 that may hold noise and may end anywhere."""
    clean = raw.translate(None, _NOT_BASE64)
    clean = clean[: len(clean) - (len(clean) % 4 == 1)]
    try:
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:
        return b""


def transferred(raw: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding. An unknown one is taken for none."""
    encoding = encoding.strip().lower()
    if encoding == "base64":
        return base64(raw)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw)
    return raw
