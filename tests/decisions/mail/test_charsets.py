"""Text whose charset is declared wrongly or not at all, and parameters in pieces (RFC 2231)."""

from __future__ import annotations

import base64

import pytest

from decisions.mail.charsets import decode
from decisions.mail.parts import content_type
from decisions.mail.read import read_mail

TEXTS = {
    "ja": "金曜日で結構です。図面を持って行きます。",
    "zh": "星期五可以。我把图纸带来。",
    "zh-TW": "星期五可以。我把圖紙帶來。",
    "ko": "금요일 좋습니다. 도면을 가져가겠습니다.",
    "ru": "Пятница подходит. Привезу чертежи.",
    "el": "Η Παρασκευή με βολεύει. Θα φέρω τα σχέδια.",
    "he": "יום שישי מתאים. אביא את התוכניות.",
    "th": "วันศุกร์สะดวก จะนำแบบแปลนไปด้วย",
    "fr": "Vendredi me va, à bientôt. J'apporte les dessins élégants.",
}
CHARSETS = {
    "ja": ("iso-2022-jp", "shift_jis", "euc-jp"),
    "zh": ("gb2312", "gbk", "gb18030"),
    "zh-TW": ("big5",),
    "ko": ("euc-kr", "ks_c_5601-1987"),
    "ru": ("koi8-r", "windows-1251", "iso-8859-5"),
    "el": ("iso-8859-7",),
    "he": ("windows-1255",),
    "th": ("tis-620",),
    "fr": ("iso-8859-1", "windows-1252"),
}
EACH = [(language, charset) for language, charsets in CHARSETS.items() for charset in charsets]
EIGHT_BIT = [(language, charset) for language, charset in EACH if charset != "iso-2022-jp"]


@pytest.mark.parametrize(("language", "charset"), EACH)
def test_what_is_declared_rightly_is_believed(language: str, charset: str) -> None:
    assert decode(TEXTS[language].encode(charset), charset) == TEXTS[language]


@pytest.mark.parametrize(("language", "charset"), EACH)
@pytest.mark.parametrize("text", [None, "はい", "네", "你好", "да, это мне подходит"])
def test_utf8_is_read_as_such_whatever_is_declared(language: str, charset: str, text: str | None) -> None:
    text = text or TEXTS[language]
    assert decode(text.encode(), charset) == text


@pytest.mark.parametrize(
    ("text", "charset"),
    [("联通", "gb2312"), ("é", "iso-8859-1"), ("Её", "windows-1251"), ("«ё»", "windows-1251"), ("แบบ", "tis-620")],
)
def test_what_could_be_utf8_by_chance_is_what_it_is_declared(text: str, charset: str) -> None:
    assert decode(text.encode(charset), charset) == text


def test_nobody_writes_what_utf8_looks_like_in_a_western_charset() -> None:
    assert decode("Ã¤rgerlich".encode("cp1252"), "iso-8859-1") == "ärgerlich"


def _reply(body: bytes, subject: bytes = b"Re: x", declared: bytes = b"") -> bytes:
    head = b"From: Ada <ada@example.com>\r\nIn-Reply-To: <m1@example.org>\r\nSubject: " + subject + b"\r\n"
    return head + declared + b"\r\n" + body + b"\r\n"


@pytest.mark.parametrize(("language", "charset"), EIGHT_BIT)
@pytest.mark.parametrize(
    "declared",
    [
        b"",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n",
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n",
    ],
    ids=["no type", "no charset", "ascii", "unknown", "utf-8"],
)
def test_an_undeclared_text_has_the_charset_that_the_headers_name(language: str, charset: str, declared: bytes) -> None:
    word = base64.b64encode(TEXTS[language][:9].encode(charset))
    raw = _reply(TEXTS[language].encode(charset), b"=?" + charset.encode() + b"?B?" + word + b"?=", declared)
    assert read_mail(raw).text == TEXTS[language]


@pytest.mark.parametrize("header", ["From", "To", "X-Sender-Name"])
def test_any_header_may_name_the_charset(header: str) -> None:
    word = base64.b64encode("Ада".encode("koi8-r"))
    raw = header.encode() + b": =?KOI8-R?B?" + word + b"?= <ada@example.com>\r\n" + _reply(TEXTS["ru"].encode("koi8-r"))
    assert read_mail(raw).text == TEXTS["ru"]


def test_the_part_of_a_multipart_has_the_charset_that_the_mail_names() -> None:
    word = base64.b64encode(TEXTS["ja"][:5].encode("shift_jis"))
    declared = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n"
    body = b"--b1\r\nContent-Type: text/plain\r\n\r\n" + TEXTS["ja"].encode("shift_jis") + b"\r\n--b1--"
    assert read_mail(_reply(body, b"=?Shift_JIS?B?" + word + b"?=", declared)).text == TEXTS["ja"]


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251", "shift_jis", "euc-jp"])
@pytest.mark.parametrize("declared", ["", "us-ascii", "iso-8859-1"])
def test_russian_and_japanese_are_known_by_their_bytes(charset: str, declared: str) -> None:
    text = TEXTS["ja" if "j" in charset else "ru"]
    assert decode(text.encode(charset), declared) == text


def test_western_text_stays_western() -> None:
    assert decode(TEXTS["fr"].encode("cp1252")) == TEXTS["fr"]
    assert decode(TEXTS["fr"].encode("cp1252"), "utf-8") == TEXTS["fr"]
    assert decode("Grüße, tschüß".encode("cp1252")) == "Grüße, tschüß"
    quoted = "Le dossier «\xa01\xa0» et «\xa0B\xa0»"
    assert decode(quoted.encode("cp1252")) == decode(quoted.encode("cp1252"), "iso-8859-1") == quoted


def test_a_broken_character_in_utf8_is_one_broken_character() -> None:
    before, after = TEXTS["ru"][:9], TEXTS["ru"][9:]
    assert decode(before.encode() + b"\xff" + after.encode(), "utf-8") == f"{before}\ufffd{after}"


def test_html_may_name_its_charset_itself() -> None:
    declared = b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n"
    for meta in (b'<meta charset="euc-kr">', b'<META http-equiv=Content-Type content="text/html; charset=euc-kr">'):
        body = b"<html><head>" + meta + b"</head><p>" + TEXTS["ko"].encode("euc-kr") + b"</p>"
        assert read_mail(_reply(body, declared=declared)).text == TEXTS["ko"]


@pytest.mark.parametrize("declared", ["utf-16", "utf-16le", "unicode"])
def test_what_is_called_utf16_and_has_no_zeros_is_not(declared: str) -> None:
    assert decode(b"Yes, please.", declared) == "Yes, please."
    assert decode("Yes".encode("utf-16"), "utf-16") == "Yes"


PIECES = [
    "multipart/mixed; boundary*0=abc; boundary*1=def; boundary*2=ghi",
    "multipart/mixed; boundary*1=def; boundary*2=ghi; boundary*0=abc",
    "multipart/mixed; boundary*0*=us-ascii''abc; boundary*1*=def; boundary*2=ghi",
    "multipart/mixed; boundary*0*=us-ascii'en'a%62c; boundary*1=\"def\"; boundary*2*=%67hi",
    "multipart/mixed; boundary*=utf-8''abcdefghi",
    'multipart/mixed; boundary*0="abcdef";\r\n boundary*1="ghi"',
]


@pytest.mark.parametrize("value", PIECES)
def test_a_parameter_in_pieces_is_put_together(value: str) -> None:
    assert content_type(value) == ("multipart/mixed", {"boundary": "abcdefghi"})


def test_a_plain_parameter_keeps_its_percent_signs_and_quotes() -> None:
    assert content_type("multipart/mixed; boundary=\"a'b'c%41\"")[1] == {"boundary": "a'b'c%41"}
    assert content_type("multipart/mixed; boundary*0=\"a'b'\"; boundary*1=c%41")[1] == {"boundary": "a'b'c%41"}


def test_many_pieces_are_joined_in_the_order_of_their_numbers() -> None:
    value = "multipart/mixed" + "".join(f"; boundary*{at}={at % 10}" for at in reversed(range(12)))
    assert content_type(value)[1]["boundary"] == "012345678901"


@pytest.mark.parametrize(
    ("boundary", "charset"),
    [
        ("boundary*0=before-; boundary*1=after", "charset*0=koi; charset*1=8-r"),
        ("boundary*0*=''before%2D;\r\n boundary*1*=after", "charset*=us-ascii'en'koi8-r"),
        ('boundary*1="after";\r\n\tboundary*0="before-"', "charset*0*=us-ascii''koi; charset*1=\"8-r\""),
    ],
)
def test_a_mail_whose_boundary_and_charset_are_in_pieces_is_read(boundary: str, charset: str) -> None:
    declared = f"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; {boundary}\r\n".encode()
    body = f"--before-after\r\nContent-Type: text/plain; {charset}\r\n\r\n".encode() + TEXTS["ru"].encode("koi8-r")
    body += b"\r\n--before-after\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--before-after--"
    assert read_mail(_reply(body, declared=declared)).text == TEXTS["ru"]
